import { spawn } from "node:child_process";
import { once } from "node:events";
import { access, mkdir, readdir, readFile, writeFile } from "node:fs/promises";
import path from "node:path";
import { durationFromMs, HostFailureReason, HostPhase, RunSpec } from "@slipway/proto";
import { create } from "tar";
import * as assert from "uvu/assert";
import { ask, eventually, httpRun, makeGoal, serviceScript, TestHost } from "./fixtures.js";
import { hostSuite, type HostContext } from "./host-suite.js";

const test = hostSuite("what comes around a release", {}, (folder) => ({
  file: (name: string): string => path.join(folder, name),
}));

type RunOptions = Parameters<typeof RunSpec.fromPartial>[0];
const run = (more: RunOptions): RunSpec => RunSpec.fromPartial({ ...httpRun(), ...more });
const shell = (script: string, timeoutMs = 10_000) => ({
  command: ["sh", "-c", script],
  timeout: durationFromMs(timeoutMs),
});
/** Says that it is there, and ends when it is let go. */
const waits = (name: string) => `touch ${name}; until [ -e ${name}-go ]; do sleep 0.02; done`;
const fromFile = (value: string) => ({ source: { $case: "file" as const, value } });
const fromCommand = (...command: string[]) => ({
  source: { $case: "command" as const, value: { command } },
});
const tar = (workingDirectory: string) => run({ artifactFormat: 2, workingDirectory });
const exists = (name: string) =>
  access(name).then(
    () => true,
    () => false,
  );
const logOf = ({ folder }: Pick<HostContext, "folder">) =>
  readFile(path.join(folder, "apps/web/logs/current.log"), "utf8");

test("commands run before the switch and after, in the release's folder", async (context) => {
  const { host, port, file } = context;
  await host.obey(makeGoal(1, host.stager.add(serviceScript("v1"))));
  await host.reaches(1, HostPhase.RUNNING);
  const spec = run({
    preActivate: shell(`pwd; echo "before $PORT \${SLIPWAY_BUILD_ID}"; ${waits(file("pre"))}`),
    postActivate: shell(`echo after; ${waits(file("post"))}`),
  });
  await host.obey(makeGoal(2, { ...host.stager.add(serviceScript("v2")), run: spec }));
  await eventually("the first command", () => exists(file("pre")));
  assert.is((await ask(port))?.version, "v1");
  assert.is(host.status().phase, HostPhase.STAGED);
  await writeFile(file("pre-go"), "");
  await eventually("the second command", () => exists(file("post")));
  assert.is((await ask(port))?.version, "v2");
  assert.is(host.status().phase, HostPhase.ACTIVATING);
  await writeFile(file("post-go"), "");
  await host.reaches(2, HostPhase.RUNNING);
  const pattern = new RegExp(`apps/web/releases/.*\nbefore ${port} build-2\n.*after\n`, "s");
  assert.match(await logOf(context), pattern);
});

test("a command that fails fails the release, and what ran runs", async ({ host, port, file }) => {
  await host.obey(makeGoal(1, host.stager.add(serviceScript("v1"))));
  await host.reaches(1, HostPhase.RUNNING);
  const pid = (await ask(port))?.pid;
  const cases: [RunOptions, RegExp, boolean][] = [
    [
      { preActivate: shell("echo no table; exit 3") },
      /pre-activate .*exit code 3.*no table/s,
      true,
    ],
    [
      { preActivate: shell(`sh -c 'touch ${file("child")}; sleep 60' & sleep 60`, 500) },
      /pre-activate .*not done in 500 ms/,
      true,
    ],
    [{ preActivate: { command: ["./missing"] } }, /pre-activate .*ENOENT/, true],
    [{ postActivate: shell("exit 4") }, /post-activate .*exit code 4/, false],
  ];
  for (const [at, [more, message, undisturbed]] of cases.entries()) {
    const artifact = host.stager.add(serviceScript(`v${at + 2}`));
    await host.obey(makeGoal(at + 2, { ...artifact, run: run(more) }));
    const { failure, runningBuildId } = await host.reaches(at + 2, HostPhase.FAILED);
    assert.is(failure?.reason, HostFailureReason.HOOK_FAILED);
    assert.match(failure?.message ?? "", message);
    assert.is(runningBuildId, "build-1");
    await eventually("v1", async () => (await ask(port))?.version === "v1");
    if (undisturbed) assert.is((await ask(port))?.pid, pid);
  }
});

test("what serves is drained before it is stopped", async ({ host, port, file }) => {
  const drain = shell(waits(file("drain")));
  const v1 = host.stager.add(serviceScript("v1"));
  await host.obey(makeGoal(1, { ...v1, run: run({ drain, drainTime: durationFromMs(400) }) }));
  await host.reaches(1, HostPhase.RUNNING);
  await host.obey(makeGoal(2, host.stager.add(serviceScript("v2"))));
  await eventually("the drain", () => exists(file("drain")));
  assert.is((await ask(port))?.version, "v1");
  await writeFile(file("drain-go"), "");
  const { activateDurationMs } = await host.reaches(2, HostPhase.RUNNING);
  assert.ok(activateDurationMs >= 400, `${activateDurationMs} ms`);
  assert.is((await ask(port))?.version, "v2");
});

test("a newer goal ends the wait for a drain; what was drained is started anew", async ({
  host,
  port,
  file,
}) => {
  const drain = shell(waits(file("drain")));
  const v1 = { ...host.stager.add(serviceScript("v1")), run: run({ drain }) };
  await host.obey(makeGoal(1, v1));
  await host.reaches(1, HostPhase.RUNNING);
  const pid = (await ask(port))?.pid;
  await host.obey(makeGoal(2, host.stager.add(serviceScript("v2"))));
  await eventually("the drain", () => exists(file("drain")));
  await host.obey(makeGoal(3, v1));
  await host.reaches(3, HostPhase.RUNNING);
  const answer = await ask(port);
  assert.is(answer?.version, "v1");
  assert.is.not(answer?.pid, pid);
  // Nor does one that ended by itself come back while it is waited for.
  await host.obey(makeGoal(4, host.stager.add(serviceScript("v4"))));
  await eventually("the drain's end", async () => {
    const now = await ask(port);
    if (now?.version === "v1") process.kill(now.pid);
    return now?.version === "v4";
  });
  await host.reaches(4, HostPhase.RUNNING);
});

test("secrets are looked up at each start, and told nobody else", async (context) => {
  const { host, port, folder, file } = context;
  await writeFile(file("token"), "first-value\n");
  await writeFile(file("key"), "key-value\n");
  const secrets = {
    TOKEN: { source: { $case: "file" as const, value: file("token") } },
    KEY: {
      source: {
        $case: "command" as const,
        value: {
          command: ["sh", "-c", `cat ${file("key")} ${file("key")} >&2; cat ${file("key")}`],
        },
      },
    },
  };
  const spec = run({ secrets, preActivate: shell('echo "pre ${#TOKEN}"') });
  await host.obey(makeGoal(1, { ...host.stager.add(serviceScript("v1")), run: spec }));
  await host.reaches(1, HostPhase.RUNNING);
  const before = await ask(port);
  assert.is(before?.env["TOKEN"], "first-value");
  assert.is(before?.env["KEY"], "key-value");
  assert.match(await logOf(context), "pre 11\n");
  await writeFile(file("token"), "second-value");
  process.kill(before?.pid ?? 0, "SIGKILL");
  await eventually("the new value", async () => {
    return (await ask(port))?.env["TOKEN"] === "second-value";
  });
  // What a release prints itself is its own affair, but no agent passes it on.
  const loud = "#!/bin/sh\necho I have $TOKEN and $KEY\nexit 1\n";
  await host.obey(makeGoal(2, { ...host.stager.add(loud), run: run({ secrets }) }));
  const failed = await host.reaches(2, HostPhase.FAILED);
  assert.match(failed.failure?.message ?? "", /I have \*\*\* and \*\*\*/);
  const kept = (await readdir(path.join(folder, "apps/web"))).filter((name) => /json/.test(name));
  const texts = await Promise.all(
    kept.map((name) => readFile(path.join(folder, "apps/web", name), "utf8")),
  );
  for (const text of [...texts, JSON.stringify(host.applications.statuses())]) {
    assert.not.match(text, /(first|second|key)-value/);
  }
});

test("without its secrets a release is not activated, and what ran is not stopped", async ({
  host,
  port,
  file,
}) => {
  await host.obey(makeGoal(1, host.stager.add(serviceScript("v1"))));
  await host.reaches(1, HostPhase.RUNNING);
  const pid = (await ask(port))?.pid;
  await writeFile(file("large"), "x".repeat(64 * 1024 + 1));
  await mkdir(file("folder"));
  const cases: [Parameters<typeof RunSpec.fromPartial>[0], RegExp][] = [
    [{ secrets: { A: fromFile(file("missing")) } }, /secret A .*ENOENT/],
    [{ secrets: { A: fromFile("relative") } }, /secret A .*absolute/],
    [{ secrets: { A: fromFile(file("large")) } }, /secret A .*larger than 65536/],
    [{ secrets: { A: fromFile(file("folder")) } }, /secret A .*not a file/],
    [{ secrets: { A: fromCommand("sh", "-c", "echo hidden; exit 5") } }, /secret A .*exit code 5$/],
    [{ secrets: { A: fromCommand("head", "-c", "99999", "/dev/zero") } }, /secret A .*larger/],
  ];
  for (const [at, [more, message]] of cases.entries()) {
    const artifact = host.stager.add(serviceScript(`v${at + 2}`));
    await host.obey(makeGoal(at + 2, { ...artifact, run: run(more) }));
    const { failure } = await host.reaches(at + 2, HostPhase.FAILED);
    assert.is(failure?.reason, HostFailureReason.SECRET_UNAVAILABLE, failure?.message);
    assert.match(failure?.message ?? "", message);
    assert.is((await ask(port))?.pid, pid);
  }
  const open = run({
    command: ["./service", "${A}"],
    secrets: { A: fromFile(file("large")) },
  });
  await host.obey(makeGoal(9, { ...host.stager.add(serviceScript("v9")), run: open }));
  const { failure } = await host.reaches(9, HostPhase.FAILED);
  assert.is(failure?.reason, HostFailureReason.START_FAILED, "no argument shows a secret");
});

test("what ran is tried until its secrets are there again", async ({
  host,
  port,
  file,
  hosts,
  folder,
}) => {
  await writeFile(file("token"), "value");
  const secrets = { TOKEN: fromFile(file("token")) };
  const v1 = { ...host.stager.add(serviceScript("v1")), run: run({ secrets }) };
  await host.obey(makeGoal(1, v1));
  await host.reaches(1, HostPhase.RUNNING);
  await host.applications.stop({ stopReleases: true });
  const next = new TestHost(folder, port, host);
  hosts.push(next);
  await writeFile(file("token"), "x".repeat(99_999));
  await next.applications.start();
  await eventually("the trouble", () => {
    const { failure } = next.status();
    return failure?.reason === HostFailureReason.SECRET_UNAVAILABLE;
  });
  await writeFile(file("token"), "value");
  const status = await next.reaches(1, HostPhase.RUNNING);
  assert.is(status.failure, undefined);
  assert.is((await ask(port))?.env["TOKEN"], "value");
});

test("a release runs in its working directory, which is in its folder", async ({
  host,
  port,
  file,
}) => {
  await mkdir(file("in/bin"), { recursive: true });
  const show = "\nrequire('node:fs').writeFileSync('where', process.cwd());";
  await writeFile(file("in/bin/service"), serviceScript("v1") + show, { mode: 0o755 });
  await create({ file: file("a.tar"), cwd: file("in") }, ["bin"]);
  const artifact = host.stager.add(await readFile(file("a.tar")));
  await host.obey(makeGoal(1, { ...artifact, run: tar("bin") }));
  await host.reaches(1, HostPhase.RUNNING);
  assert.match((await ask(port))?.env["SLIPWAY_RELEASE_FOLDER"] ?? "", /releases\/[^/]+$/);
  for (const [at, [folder, message]] of [
    ["..", /not in the release folder/],
    ["bin/../../x", /not in the release folder/],
    ["/tmp", /not in the release folder/],
    ["nowhere", /nowhere is not there/],
  ].entries() as Iterable<[number, [string, RegExp]]>) {
    await host.obey(makeGoal(at + 2, { ...artifact, run: tar(folder) }));
    const { failure } = await host.reaches(at + 2, HostPhase.FAILED);
    assert.is(failure?.reason, HostFailureReason.START_FAILED);
    assert.match(failure?.message ?? "", message);
  }
});

test("a command that an agent left behind is ended by the next one", async ({
  host,
  folder,
  port,
  hosts,
}) => {
  await host.obey(makeGoal(1, host.stager.add(serviceScript("v1"))));
  await host.reaches(1, HostPhase.RUNNING);
  await host.applications.stop({ stopReleases: false });
  const left = spawn("sleep", ["60"], {
    env: { ...process.env, SLIPWAY_HOOK_FOLDER: path.join(folder, "apps/web/releases/one") },
    stdio: "ignore",
  });
  const ended = once(left, "exit");
  const pid = (await ask(port))?.pid;
  const next = new TestHost(folder, port, host);
  hosts.push(next);
  await next.applications.start();
  assert.equal(await ended, [null, "SIGKILL"]);
  await next.reaches(1, HostPhase.RUNNING);
  assert.is((await ask(port))?.pid, pid);
});

test.run();
