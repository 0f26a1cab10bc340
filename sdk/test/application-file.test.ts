import { ArtifactFormat, ApplicationSpec, durationToMs } from "@slipway/proto";
import { test } from "uvu";
import * as assert from "uvu/assert";
import { APPLICATION_EXAMPLE } from "../src/cli/application-example.js";
import { filePath, readApplicationFile } from "../src/cli/application-file.js";
import { applicationText } from "../src/cli/application-text.js";
import { UsageError } from "../src/cli/exit-code.js";

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
});

test("what get prints is read back as the same", () => {
  const { name, spec } = readApplicationFile(APPLICATION_EXAMPLE, "example");
  const before = ApplicationSpec.fromPartial(spec);
  const text = applicationText({ name, revision: 1, spec: before, updateTime: undefined });
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
  ["idempotency_key", "idempotency_key", undefined],
] as const) {
  test(`finds ${field} in the file`, () => {
    assert.is(filePath(field), path);
    assert.is(readApplicationFile(whole, "f").lineOf(field), line);
  });
}

test.run();
