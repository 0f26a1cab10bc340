import {
  ApplicationSpec,
  ArtifactFormat,
  BuildSpec,
  durationFromMs,
  HealthCheck,
  RunSpec,
  SourceSpec,
  type HookCommand,
  type SecretReference,
} from "@slipway/proto";
import { test } from "uvu";
import * as assert from "uvu/assert";
import { checkSpec } from "../../src/application/spec.js";
import { Violations } from "../../src/validate.js";
import { goodSpec } from "../postgres.js";

function fieldsAtFault(spec: ApplicationSpec | undefined): string[] {
  const found = new Violations();
  checkSpec(spec, found);
  return [...new Set(found.found.map(({ field }) => field))];
}

const build = (change: Partial<BuildSpec>): ApplicationSpec => ({
  ...goodSpec(),
  build: BuildSpec.fromPartial({ command: ["make"], artifactPath: "out/shop", ...change }),
});
const run = (change: Partial<RunSpec>): ApplicationSpec => ({
  ...goodSpec(),
  run: RunSpec.fromPartial({ command: ["./shop"], ...change }),
});
const source = (change: Partial<SourceSpec>): ApplicationSpec => ({
  ...goodSpec(),
  source: SourceSpec.fromPartial({ repository: "/srv/shop.git", ...change }),
});
const health = (check: HealthCheck["check"], change: Partial<HealthCheck> = {}) =>
  run({ healthCheck: HealthCheck.fromPartial({ check, ...change }) });

const file = (value: string): SecretReference => ({ source: { $case: "file", value } });
const output = (command: string[]): SecretReference => ({
  source: { $case: "command", value: { command } },
});
const secrets = (count: number) =>
  Object.fromEntries(Array.from({ length: count }, (_, n) => [`S${n}`, file(`/${n}`)]));
const hook = (command: string[], timeoutMs?: number): HookCommand => ({
  command,
  timeout: timeoutMs === undefined ? undefined : durationFromMs(timeoutMs),
});
const hooks = (...urls: string[]) => goodSpec({ notificationHooks: urls.map((url) => ({ url })) });

test("what is allowed", () => {
  const good: ApplicationSpec[] = [
    goodSpec(),
    source({ repository: "git@example.com:shop.git" }),
    source({ repository: "file:///srv/shop.git" }),
    source({ repository: "ssh://git@example.com:22/shop.git", trunk: "release/2.x" }),
    build({ artifactPath: "./out//shop", timeout: durationFromMs(86_400_000), maxAttempts: 10 }),
    build({ command: ["sh", "-c", "make\n\tinstall"], environment: { CC: "clang", EMPTY: "" } }),
    run({ stopTimeout: durationFromMs(0), executableName: "shop-server" }),
    health({ $case: "httpUrl", value: "http://127.0.0.1:${PORT}/health" }),
    health({ $case: "tcpAddress", value: "127.0.0.1:${PORT}" }),
    health({ $case: "command", value: { command: ["./check"] } }),
    goodSpec({ selector: { "example.com/pool": "web", zone: "" } }),
    run({ workingDirectory: "srv/./app/", drainTime: durationFromMs(3_600_000) }),
    run({ secrets: { KEY: file("/etc/slipway/key"), TOKEN: output(["vault", "read"]) } }),
    run({ preActivate: hook(["./migrate"]), postActivate: hook(["./warm"], 3_600_000) }),
    run({ drain: hook(["./drain"], 100) }),
    hooks("http://127.0.0.1:8080/slipway?team=shop", "https://example.com/"),
  ];
  for (const spec of good) assert.equal(fieldsAtFault(spec), []);
});

test("what is refused, and which field is blamed", () => {
  const many = Object.fromEntries(Array.from({ length: 257 }, (_, index) => [`V${index}`, ""]));
  const bad: [ApplicationSpec, string][] = [
    [source({ repository: "" }), "spec.source.repository"],
    [source({ repository: "--upload-pack=sh" }), "spec.source.repository"],
    [source({ repository: "ext::sh -c id" }), "spec.source.repository"],
    [source({ repository: "shop" }), "spec.source.repository"],
    [source({ repository: "https://example.com/\u001b[2J" }), "spec.source.repository"],
    [source({ repository: `/${"r".repeat(3_000)}` }), "spec.source.repository"],
    [source({ trunk: "-main" }), "spec.source.trunk"],
    [source({ trunk: "a..b" }), "spec.source.trunk"],
    [source({ trunk: "a b" }), "spec.source.trunk"],
    [source({ trunk: "main.lock" }), "spec.source.trunk"],
    [source({ trunk: "a/.b" }), "spec.source.trunk"],
    [source({ trunk: "a:b" }), "spec.source.trunk"],
    [build({ command: [] }), "spec.build.command"],
    [build({ command: [""] }), "spec.build.command"],
    [build({ command: Array.from({ length: 257 }, () => "x") }), "spec.build.command"],
    [build({ command: ["make", "\0"] }), "spec.build.command[1]"],
    [build({ artifactPath: "" }), "spec.build.artifact_path"],
    [build({ artifactPath: "/etc/passwd" }), "spec.build.artifact_path"],
    [build({ artifactPath: "../shop" }), "spec.build.artifact_path"],
    [build({ artifactPath: "out/../../shop" }), "spec.build.artifact_path"],
    [build({ artifactPath: ".." }), "spec.build.artifact_path"],
    [build({ artifactPath: "." }), "spec.build.artifact_path"],
    [build({ artifactPath: "out/" }), "spec.build.artifact_path"],
    [build({ artifactPath: "out\\shop" }), "spec.build.artifact_path"],
    [build({ artifactPath: "out\nshop" }), "spec.build.artifact_path"],
    [build({ artifactFormat: 7 as ArtifactFormat }), "spec.build.artifact_format"],
    [build({ timeout: durationFromMs(10) }), "spec.build.timeout"],
    [build({ timeout: durationFromMs(86_400_001) }), "spec.build.timeout"],
    [build({ timeout: { seconds: -5, nanos: 0 } }), "spec.build.timeout"],
    [build({ maxAttempts: 11 }), "spec.build.max_attempts"],
    [build({ environment: { "A=B": "" } }), 'spec.build.environment["A=B"]'],
    [build({ environment: { A: "x\0" } }), 'spec.build.environment["A"]'],
    [build({ environment: many }), "spec.build.environment"],
    [run({ command: [] }), "spec.run.command"],
    [run({ stopTimeout: durationFromMs(600_001) }), "spec.run.stop_timeout"],
    [run({ executableName: "bin/shop" }), "spec.run.executable_name"],
    [run({ executableName: ".." }), "spec.run.executable_name"],
    [health({ $case: "httpUrl", value: "ftp://x" }), "spec.run.health_check.http_url"],
    [health({ $case: "tcpAddress", value: "8080" }), "spec.run.health_check.tcp_address"],
    [health({ $case: "command", value: { command: [] } }), "spec.run.health_check.command.command"],
    [health(undefined, { interval: durationFromMs(1) }), "spec.run.health_check.interval"],
    [run({ workingDirectory: "/srv" }), "spec.run.working_directory"],
    [run({ workingDirectory: "a/../../b" }), "spec.run.working_directory"],
    [run({ workingDirectory: "a\\b" }), "spec.run.working_directory"],
    [run({ secrets: { "A B": file("/key") } }), 'spec.run.secrets["A B"]'],
    [run({ secrets: { KEY: { source: undefined } } }), 'spec.run.secrets["KEY"]'],
    [run({ secrets: { KEY: file("/x") }, environment: { KEY: "" } }), 'spec.run.secrets["KEY"]'],
    [run({ secrets: { KEY: file("key") } }), 'spec.run.secrets["KEY"].file'],
    [run({ secrets: { KEY: file("/etc/") } }), 'spec.run.secrets["KEY"].file'],
    [run({ secrets: { KEY: file("/etc/\0") } }), 'spec.run.secrets["KEY"].file'],
    [run({ secrets: { KEY: output([]) } }), 'spec.run.secrets["KEY"].command.command'],
    [run({ secrets: secrets(65) }), "spec.run.secrets"],
    [run({ preActivate: hook([]) }), "spec.run.pre_activate.command"],
    [run({ postActivate: hook(["x"], 3_600_001) }), "spec.run.post_activate.timeout"],
    [run({ drain: hook(["x"], 0) }), "spec.run.drain.timeout"],
    [run({ drainTime: durationFromMs(3_600_001) }), "spec.run.drain_time"],
    [run({ drainTime: durationFromMs(-1) }), "spec.run.drain_time"],
    [hooks(""), "spec.notification_hooks[0].url"],
    [hooks("example.com"), "spec.notification_hooks[0].url"],
    [hooks("ftp://example.com/"), "spec.notification_hooks[0].url"],
    [hooks("https://me:secret@example.com/"), "spec.notification_hooks[0].url"],
    [hooks("https://example.com/#x"), "spec.notification_hooks[0].url"],
    [hooks("https://a.example/", "https://a.example/"), "spec.notification_hooks[1].url"],
    [hooks(...Object.keys(secrets(9)).map((name) => `http://${name}/`)), "spec.notification_hooks"],
    [
      goodSpec({ strategy: { waves: [{ regions: ["xx"] }, { regions: ["*"] }] } }),
      "spec.strategy.waves[0].regions[0]",
    ],
    [goodSpec({ regions: [] }), "spec.regions"],
    [goodSpec({ regions: ["eu", "eu"] }), "spec.regions[1]"],
    [goodSpec({ regions: ["EU"] }), "spec.regions[0]"],
    [goodSpec({ regions: [""] }), "spec.regions[0]"],
    [goodSpec({ selector: { "-x": "1" } }), 'spec.selector["-x"]'],
    [goodSpec({ selector: { x: "\u0007" } }), 'spec.selector["x"]'],
  ];
  for (const [spec, field] of bad) assert.equal(fieldsAtFault(spec), [field]);
});

test("an empty spec is told everything at once", () => {
  const expected = [
    "spec.build.command",
    "spec.build.artifact_path",
    "spec.source.repository",
    "spec.run.command",
    "spec.regions",
  ];
  assert.equal(fieldsAtFault(undefined), expected);
});

test("a spec that is too big in all", () => {
  const value = "v".repeat(32_000);
  const environment = Object.fromEntries(Array.from({ length: 10 }, (_, n) => [`V${n}`, value]));
  assert.equal(fieldsAtFault(build({ environment })), ["spec"]);
});

test("defaults are filled in, and checking again changes nothing", () => {
  const checked = checkSpec(build({ artifactPath: "./out//shop" }), new Violations());
  assert.is(checked.source.trunk, "main");
  assert.is(checked.build.artifactPath, "out/shop");
  assert.is(checked.build.maxAttempts, 3);
  assert.equal(checked.build.timeout, durationFromMs(900_000));
  assert.is(checked.build.artifactFormat, ArtifactFormat.EXECUTABLE);
  assert.is(checked.run.artifactFormat, ArtifactFormat.EXECUTABLE);
  assert.is(checked.run.executableName, "shop");
  assert.equal(checkSpec(checked, new Violations()), checked);
  const { run: release } = checkSpec(
    run({ workingDirectory: "./srv//app/", drain: hook(["./drain"]), secrets: secrets(2) }),
    new Violations(),
  );
  assert.is(release.workingDirectory, "srv/app");
  assert.equal(release.drainTime, durationFromMs(0));
  assert.equal(release.drain?.timeout, durationFromMs(30_000));
});

test("the release's format follows the build's", () => {
  const tar = build({ artifactFormat: ArtifactFormat.TAR, artifactPath: "out/shop.tar" });
  const { run } = checkSpec(tar, new Violations());
  assert.is(run.artifactFormat, ArtifactFormat.TAR);
  assert.is(run.executableName, "");
});

const encode = (environment: { [name: string]: string }): Buffer =>
  Buffer.from(ApplicationSpec.encode(checkSpec(build({ environment }), new Violations())).finish());

test("specs that mean the same are the same bytes", () => {
  assert.ok(encode({ A: "1", B: "2" }).equals(encode({ B: "2", A: "1" })));
});

test.run();
