import {
  Application,
  ApplicationSpec,
  ArtifactFormat,
  OnFailure,
  Promotion,
  durationToMs,
} from "@slipway/proto";
import { test } from "uvu";
import * as assert from "uvu/assert";
import { APPLICATION_EXAMPLE } from "../src/cli/application-example.js";
import { readApplicationFile } from "../src/cli/application-file.js";
import { applicationText } from "../src/cli/application-text.js";
import { UsageError } from "../src/cli/exit-code.js";
import { readStrategyFile } from "../src/cli/strategy-file.js";

const whole = `name: web
repository: /srv/web.git
build:
  command: [make]
  artifact: out/web
run:
  command: [./web]
regions: [eu]
`;

/** What is wrong with a file, one "line: text" each. */
function problems(text: string): string[] {
  try {
    readApplicationFile(text, "f");
  } catch (error) {
    assert.instance(error, UsageError);
    const lines = (error as Error).message.split("\n");
    assert.match(lines.at(-1) ?? "", "--example");
    return lines.slice(1, -1).map((line) => line.replace(/^ {2}f:/, ""));
  }
  return [];
}

test("the least that a file must say", () => {
  const { name, spec } = readApplicationFile(whole, "f");
  assert.is(name, "web");
  assert.equal(spec, {
    source: { repository: "/srv/web.git" },
    build: {
      command: ["make"],
      artifactPath: "out/web",
      artifactFormat: ArtifactFormat.EXECUTABLE,
    },
    run: { command: ["./web"] },
    regions: ["eu"],
  });
});

test("JSON is read as well", () => {
  const json = JSON.stringify({
    name: "a",
    repository: "/r",
    build: { command: ["x"], artifact: "a", format: "tar", timeout: "1h30m" },
    run: { command: ["y"], health: { tcp: "127.0.0.1:1" } },
    regions: ["eu"],
  });
  const { spec } = readApplicationFile(json, "f");
  assert.is(spec.build?.artifactFormat, ArtifactFormat.TAR);
  assert.equal(spec.build?.timeout, { seconds: 5400, nanos: 0 });
  assert.equal(spec.run?.healthCheck?.check, { $case: "tcpAddress", value: "127.0.0.1:1" });
});

test("the example is a file, and says everything that one can", () => {
  const { name, spec } = readApplicationFile(APPLICATION_EXAMPLE, "example");
  const full = ApplicationSpec.fromPartial(spec);
  assert.is(name, "web");
  assert.is(full.selector["role"], "web");
  assert.is(full.build?.environment["CGO_ENABLED"], "0");
  assert.is(full.run?.command[2], "${PORT}");
  assert.is(durationToMs(full.run?.healthCheck?.deadline, 0), 30_000);
  assert.equal(full.run?.secrets["DB_PASSWORD"]?.source, {
    $case: "file",
    value: "/run/secrets/web-db",
  });
  assert.equal(full.run?.secrets["API_TOKEN"]?.source, {
    $case: "command",
    value: { command: ["/usr/local/bin/vault-read", "web/token"] },
  });
  assert.equal(full.run?.preActivate?.command, ["./web", "migrate"]);
  assert.is(durationToMs(full.run?.preActivate?.timeout, 0), 30_000);
  assert.equal(full.run?.postActivate?.command, ["./web", "warm-up"]);
  assert.equal(full.run?.drain?.command, ["./web", "drain"]);
  assert.is(durationToMs(full.run?.drainTime, 0), 5_000);
  assert.is(full.run?.workingDirectory, ".");
  assert.equal(full.notificationHooks, [{ url: "https://chat.example.com/hooks/deployments" }]);
  const { strategy } = full;
  assert.equal(
    strategy?.waves.map(({ regions, percents }) => [regions, percents]),
    [
      [["eu"], [10, 100]],
      [["*"], []],
    ],
  );
  assert.is(durationToMs(strategy?.waves[0]?.bakeTime, 0), 30_000);
  assert.is(strategy?.waves[1]?.requiresApproval, true);
  assert.equal(strategy?.failureBudget, { failedPercent: 2, silentPercent: 5 });
  assert.is(strategy?.promotion, Promotion.AUTOMATIC);
  assert.is(strategy?.onFailure, OnFailure.ROLL_BACK);
});

test("a strategy file holds what stands below strategy", () => {
  const text = "waves:\n  - regions: ['*']\n    bakeTime: 0s\nonFailure: stop\n";
  const { strategy, lineOf, pathOf } = readStrategyFile(text, "s");
  assert.equal(strategy, {
    waves: [{ regions: ["*"], bakeTime: { seconds: 0, nanos: 0 } }],
    onFailure: OnFailure.STOP,
  });
  assert.is(pathOf("strategy.waves[0].bake_time"), "waves[0].bakeTime");
  assert.is(lineOf("strategy.waves[0].bake_time"), 3);
  assert.is(lineOf("create.strategy.on_failure"), 4);
  assert.is(pathOf("build_id"), undefined);
  assert.throws(
    () => readStrategyFile("waves: [{percents: [ten]}]\n", "s"),
    /s is not a strategy:\n {2}s:1: waves\[0\]\.regions is missing\n {2}s:1: waves\[0\]\.percents\[0\] must be a whole number, not "ten"/,
  );
});

test("a zero that means something stays when it is printed", () => {
  const strategy = {
    waves: [{ regions: ["*"], bakeTime: { seconds: 0, nanos: 0 } }],
    failureBudget: { failedPercent: 0, silentPercent: 0 },
    onFailure: OnFailure.STOP,
  };
  const { spec } = readApplicationFile(whole, "f");
  const before = Application.fromPartial({ name: "web", spec: { ...spec, strategy } });
  const after = readApplicationFile(applicationText(before), "f").spec.strategy;
  assert.equal(after, strategy);
});

test("what get prints is read back as the same", () => {
  const { name, spec } = readApplicationFile(APPLICATION_EXAMPLE, "example");
  const before = ApplicationSpec.fromPartial(spec);
  const text = applicationText(Application.fromPartial({ name, revision: 1, spec: before }));
  const after = readApplicationFile(text, "f");
  assert.is(after.name, name);
  // It is the artifact's own name, which is what leaving it out means.
  if (before.run !== undefined) before.run.executableName = "";
  assert.equal(ApplicationSpec.fromPartial(after.spec), before);
});

test("map values are taken as they are written", () => {
  const text = `${whole}selector:\n  a: 1.10\n  b: true\n  c: "x"\n  d: 007\n  __proto__: p\n`;
  const { selector } = readApplicationFile(text, "f").spec;
  assert.equal(Object.entries(selector ?? {}), [
    ["a", "1.10"],
    ["b", "true"],
    ["c", "x"],
    ["d", "007"],
    ["__proto__", "p"],
  ]);
});

const build = "build:\n  command: [make]\n  artifact: out/web\n";
for (const [what, text, expected] of [
  ["unknown key", `${whole}region: eu\n`, [/^9: region is not known; known here: name, /]],
  [
    "unknown key inside",
    whole.replace("artifact:", "artefact:"),
    [/^3: build\.artifact is missing$/, /^5: build\.artefact is not known/],
  ],
  [
    "missing keys",
    "name: web\n",
    [
      /^1: repository is missing$/,
      /^1: build is missing$/,
      /^1: run is missing$/,
      /^1: regions is missing$/,
    ],
  ],
  ["empty file", "", [/^1: must be a map .*not nothing$/]],
  [
    "a key by mistake",
    "-----BEGIN X-----\nMC4C\n-----END X-----\n",
    [/^1: must be a map .*not one value$/],
  ],
  ["list", "- a\n", [/^1: must be a map .*not a list$/]],
  [
    "number for a string",
    whole.replace("name: web", "name: 7"),
    [/^1: name must be a string, not the number 7$/],
  ],
  [
    "nothing for a string",
    whole.replace("name: web", "name:"),
    [/^1: name must be a string, not nothing$/],
  ],
  [
    "string for a list",
    whole.replace("[make]", "make all"),
    [/^4: build\.command must be a list of strings.*, not "make all"$/],
  ],
  [
    "number in a list",
    whole.replace("[make]", "[make, 3]"),
    [/^4: build\.command\[1\] must be a string, not the number 3$/],
  ],
  [
    "bare number for a duration",
    whole.replace(build, `${build}  timeout: 15\n`),
    [/^6: build\.timeout must be a duration such as .*, not the number 15$/],
  ],
  ["bad duration", whole.replace(build, `${build}  timeout: 15min\n`), [/^6: build\.timeout must/]],
  [
    "unknown format",
    whole.replace(build, `${build}  format: zip\n`),
    [/^6: build\.format must be executable or tar, not "zip"$/],
  ],
  [
    "fraction",
    whole.replace(build, `${build}  maxAttempts: 1.5\n`),
    [/^6: build\.maxAttempts must be a whole number/],
  ],
  ["string for a truth", `${whole}allowUnmerged: "yes"\n`, [/^9: allowUnmerged must be true or/]],
  [
    "list in a map",
    `${whole}selector: {a: [b]}\n`,
    [/^9: selector\.a must be a string, not a list/],
  ],
  [
    "nothing in a map",
    `${whole}selector:\n  a:\n`,
    [/^10: selector\.a must be a string, not nothing/],
  ],
  [
    "two health checks",
    whole.replace("run:\n", "run:\n  health: {http: a, tcp: b}\n"),
    [/^7: run\.health must have only one of/],
  ],
  [
    "a secret from two places",
    whole.replace("run:\n", "run:\n  secrets: {A: {file: /a, command: [b]}, B: {}, C: x}\n"),
    [
      /^7: run\.secrets\.A must have one of file and command$/,
      /^7: run\.secrets\.B must have one of file and command$/,
      /^7: run\.secrets\.C must be a map with the keys file, command, not "x"$/,
      /^7: run\.secrets\.C must have one of/,
    ],
  ],
  [
    "a hook without a command",
    whole.replace("run:\n", "run:\n  drain:\n    timeout: 3\n"),
    [/^7: run\.drain\.command is missing$/, /^8: run\.drain\.timeout must be a duration/],
  ],
  [
    "a strategy's unknown key and word",
    `${whole}strategy:\n  promotion: never\n  waves: eu\n  wave: []\n`,
    [
      /^10: strategy\.promotion must be automatic or manual, not "never"$/,
      /^11: strategy\.waves must be a list of waves, not "eu"$/,
      /^12: strategy\.wave is not known; known here: waves, /,
    ],
  ],
  [
    "a hook that is no map",
    `${whole}notificationHooks:\n  - https://x\n`,
    [/^10: notificationHooks\[0\] must be a map with the keys url, not "https:\/\/x"$/],
  ],
  ["key twice", `${whole}name: api\n`, [/^9: Map keys must be unique/]],
  ["broken YAML", "name: [a\n", [/^\d+: .*flow/i]],
  ["two documents", `${whole}---\n${whole}`, [/^\d+: must hold one document/]],
  [
    "alias",
    `${whole.replace("[eu]", "&r [eu]")}selector: *r\n`,
    [/^9: selector must be .*an alias/],
  ],
] as [string, string, RegExp[]][]) {
  test(`refuses: ${what}`, () => {
    const found = problems(text);
    for (const [index, pattern] of expected.entries())
      assert.match(found[index] ?? "", pattern, found.join("\n"));
    assert.is(found.length, expected.length, found.join("\n"));
  });
}

for (const [field, path, line] of [
  ["name", "name", 1],
  ["spec.source.repository", "repository", 2],
  ["spec.build", "build", 3],
  ["spec.build.command[0]", "build.command[0]", 4],
  ["spec.build.artifact_path", "build.artifact", 5],
  ["spec.build.timeout", "build.timeout", 3],
  ["spec.run.health_check.http_url", "run.health.http", 6],
  ["spec.run.health_check.command.command", "run.health.command", 6],
  ["spec.regions[0]", "regions[0]", 8],
  ["spec.regions[7]", "regions[7]", 8],
  ["spec.selector", "selector", undefined],
  ["expected_revision", undefined, undefined],
  ["spec", "", undefined],
  ["spec.source.allow_unmerged", "allowUnmerged", undefined],
  ["spec.strategy.waves[0].bake_time", "strategy.waves[0].bakeTime", undefined],
  ['spec.run.secrets["DB_URL"].command.command', "run.secrets.DB_URL.command", 6],
  ['spec.run.environment["A_b"]', "run.environment.A_b", 6],
  ["spec.notification_hooks[0].url", "notificationHooks[0].url", undefined],
] as const) {
  test(`finds ${field} in the file`, () => {
    const file = readApplicationFile(whole, "f");
    assert.is(file.pathOf(field), path);
    assert.is(file.lineOf(field), line);
  });
}

test.run();
