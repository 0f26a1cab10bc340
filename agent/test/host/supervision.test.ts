import { spawn } from "node:child_process";
import { once } from "node:events";
import { appendFile, cp, mkdir, readFile, readdir, rm, stat, writeFile } from "node:fs/promises";
import path from "node:path";
import { fileURLToPath } from "node:url";
import { HealthCheck } from "@slipway/proto";
import { freePort } from "@slipway/examples/servers";
import { createServer, type Server } from "node:http";
import { suite } from "uvu";
import * as assert from "uvu/assert";
import { checkOnce, resolveCheck, type CheckKind } from "../../src/host/health-check.js";
import {
  DataDirectoryInUseError,
  lockDataDirectory,
} from "../../src/process/data-directory-lock.js";
import { LogFile } from "../../src/host/log-file.js";
import { killLeftovers, startProcess, stopProcess } from "../../src/host/release-process.js";
import { ReleaseSecrets } from "../../src/host/secrets.js";
import { Supervisor } from "../../src/host/supervisor.js";
import { processStartTime } from "../../src/process/identity.js";
import { ask, eventually, log, serviceScript, temporaryFolder } from "./fixtures.js";

interface Context {
  folder: string;
  remove: () => Promise<void>;
}

const test = suite<Context>("supervision");

test.before.each(async (context) => {
  Object.assign(context, await temporaryFolder());
});
test.after.each((context) => context.remove());

const launch = (folder: string, source: string) => ({
  release: "0123456789abcdef-r1-01234567",
  folder,
  workingDirectory: folder,
  command: [process.execPath, "-e", source],
  environment: { PATH: process.env["PATH"] ?? "" },
  secrets: new ReleaseSecrets({}, {}),
  stopTimeoutMs: 300,
  drain: { timeMs: 0, hook: undefined },
});

test("a release outlives the agent's kill -9 and is found again, not started again", async ({
  folder,
}) => {
  const port = await freePort();
  const program = fileURLToPath(new URL("agent-process.ts", import.meta.url));
  const args = ["--import", "tsx", program, folder, String(port), serviceScript("v1")];
  const agent = spawn(process.execPath, args, { stdio: ["ignore", "pipe", "inherit"] });
  await once(agent.stdout, "data");
  assert.is(
    await lockDataDirectory(folder).catch((error: Error) => error.name),
    "DataDirectoryInUseError",
  );
  const before = await ask(port);
  assert.ok(before);
  agent.kill("SIGKILL");
  await once(agent, "exit");
  const unlock = await lockDataDirectory(folder);
  assert.is((await ask(port))?.pid, before?.pid);

  const app = path.join(folder, "apps/web");
  const supervisor = new Supervisor({
    recordFile: path.join(app, "process.json"),
    releases: path.join(app, "releases"),
    logFile: new LogFile(path.join(app, "logs")),
    log,
  });
  const [release = ""] = await readdir(path.join(app, "releases"));
  const found = { ...launch(path.join(app, "releases", release), ""), release };
  assert.not(await supervisor.adopt({ ...found, release: "another" }));
  assert.ok(await supervisor.adopt(found));
  assert.ok(supervisor.isUp);
  assert.is((await ask(port))?.pid, before?.pid);
  await supervisor.stop();
  assert.is(await ask(port), undefined);
  assert.not(await supervisor.adopt(found));
  supervisor.leave();
  await unlock();
});

test("a stop ends the whole group, by force if need be", async ({ folder }) => {
  const source = `
    const { spawn } = require("node:child_process");
    process.on("SIGTERM", () => {});
    const child = spawn(process.execPath, ["-e", "process.on('SIGTERM', () => {}); console.log('child', process.pid); setInterval(() => {}, 1000)"], { stdio: "inherit" });
    setInterval(() => {}, 1000);`;
  const logFile = path.join(folder, "log");
  const started = await startProcess(launch(folder, source), {}, logFile);
  const child = await eventually(
    "the grandchild",
    async () => /child (\d+)/.exec(await readFile(logFile, "utf8"))?.[1],
  );
  assert.ok(await stopProcess(started.record, 300));
  assert.equal(await started.exited, { code: null, signal: "SIGKILL" });
  assert.throws(() => process.kill(Number(child), 0), /ESRCH/);
});

test("a pid that now is another process's is left alone", async ({ folder }) => {
  const started = await startProcess(
    launch(folder, "setInterval(() => {}, 1000)"),
    {},
    path.join(folder, "log"),
  );
  const stranger = { ...started.record, startTime: "another" };
  assert.ok(await stopProcess(stranger, 10));
  assert.ok(await killLeftovers(stranger));
  process.kill(started.record.pid, 0);
  assert.ok(await stopProcess(started.record, 1_000));
});

test("what exits is started again, ever later", async ({ folder }) => {
  const logFile = new LogFile(path.join(folder, "logs"));
  await logFile.prepare();
  const supervisor = supervise(folder, logFile);
  await supervisor.start(launch(folder, "process.exit(4)"));
  await eventually("three exits", () => supervisor.exits >= 3);
  assert.equal(supervisor.lastExit, { code: 4, signal: null });
  await supervisor.stop();
  const { exits } = supervisor;
  assert.is(supervisor.release, undefined);
  await assertStays(() => supervisor.exits === exits, 500);
  supervisor.leave();
});

/** Its child leaves the group, and ignores SIGTERM. */
const ESCAPE = `
  const { spawn } = require("node:child_process");
  const source = "process.on('SIGTERM', () => {}); console.log('child', process.pid); setInterval(() => {}, 1000)";
  spawn(process.execPath, ["-e", source], { stdio: "inherit", detached: true });
  setInterval(() => {}, 1000);`;

async function escapedChild(logFile: LogFile): Promise<number> {
  const pid = await eventually(
    "the child",
    async () => /child (\d+)/.exec(await readFile(logFile.path, "utf8"))?.[1],
  );
  return Number(pid);
}

test("a child that left the group ends with its release", async ({ folder }) => {
  const logFile = new LogFile(path.join(folder, "logs"));
  await logFile.prepare();
  const supervisor = supervise(folder, logFile);
  await mkdir(path.join(folder, "one"));
  await supervisor.start(launch(path.join(folder, "one"), ESCAPE));
  const child = await escapedChild(logFile);
  await supervisor.stop();
  assert.is(await processStartTime(child), undefined);
  supervisor.leave();
});

test("what an agent could not write down runs, and the next one ends it", async ({ folder }) => {
  const logFile = new LogFile(path.join(folder, "logs"));
  await logFile.prepare();
  const recordFile = path.join(folder, "missing", "record");
  const supervisor = new Supervisor({ recordFile, releases: folder, logFile, log });
  await mkdir(path.join(folder, "one"));
  await supervisor.start(launch(path.join(folder, "one"), ESCAPE));
  assert.ok(supervisor.isUp);
  const child = await escapedChild(logFile);
  supervisor.leave();
  const next = supervise(folder, logFile);
  assert.not(await next.adopt(launch(path.join(folder, "one"), ESCAPE)));
  await next.stopLeftOver(300);
  assert.is(await processStartTime(child), undefined);
  next.leave();
});

test("a log that cannot be kept is cut all the same", async ({ folder }) => {
  const logFile = new LogFile(folder, { fileBytes: 1_000, files: 1 });
  await mkdir(`${logFile.path}.1`);
  await writeFile(logFile.path, "x".repeat(1_500));
  const error = await logFile.rotate().catch((reason: unknown) => reason);
  assert.instance(error, Error);
  assert.is(await logFile.size(), 0);
});

test("logs are bounded", async ({ folder }) => {
  const logFile = new LogFile(folder, { fileBytes: 1_000, files: 3 });
  await writeFile(logFile.path, "");
  for (let round = 0; round < 6; round += 1) {
    await appendFile(logFile.path, `${round}`.repeat(1_500));
    assert.ok(await logFile.rotate());
    assert.not(await logFile.rotate());
  }
  await appendFile(logFile.path, "x".repeat(50_000));
  await logFile.rotate();
  assert.equal((await readdir(folder)).sort(), [
    "current.log",
    "current.log.1",
    "current.log.2",
    "index.json",
  ]);
  assert.is((await stat(`${logFile.path}.1`)).size, 1_000);
  assert.is(await readFile(`${logFile.path}.2`, "utf8"), "5".repeat(1_500));
  await writeFile(logFile.path, "old\nnew\n");
  assert.is(await logFile.tail(4, 100), "new");
  assert.is(await logFile.tail(0, 4), "new");
  assert.is(await logFile.tail(999, 100), "old\nnew");
});

test("a lock of the dead does not hold", async ({ folder }) => {
  for (const tag of ["1.0123456789abcdef", "4000000.0123456789abcdef"]) {
    await writeFile(path.join(folder, `lock.${tag}.${"0".repeat(16)}`), "");
    const unlock = await lockDataDirectory(folder);
    const second = await lockDataDirectory(folder).catch((error: unknown) => error);
    assert.instance(second, DataDirectoryInUseError);
    await unlock();
  }
  const racers = await Promise.allSettled([1, 2, 3, 4].map(() => lockDataDirectory(folder)));
  assert.ok(racers.filter(({ status }) => status === "fulfilled").length <= 1);
  assert.ok((await readdir(folder)).length <= 1, "what the dead and the refused left is gone");
});

test("of a lock that came with a copy it is not said that its process uses the copy", async ({
  folder,
}) => {
  const [original, copy] = ["original", "copy"].map((name) => path.join(folder, name));
  if (original === undefined || copy === undefined) throw new Error("no folders");
  await mkdir(original);
  const unlock = await lockDataDirectory(original);
  await cp(original, copy, { recursive: true });
  const [name = ""] = await readdir(copy);
  const refused = await lockDataDirectory(copy).catch((error: unknown) => error);
  assert.instance(refused, DataDirectoryInUseError);
  const { message } = refused as Error;
  const says = `the lock file ${name} says that process ${process.pid} has the data directory ${copy}:`;
  assert.ok(message.startsWith(says), message);
  assert.match(message, "if this one is a copy of that process's, the file came with it");
  await unlock();
});

test("health checks", async ({ folder }) => {
  const server: Server = createServer((request, response) => {
    if (request.url === "/slow") return;
    response.statusCode = Number(request.url?.slice(1));
    if (response.statusCode === 302) response.setHeader("location", "/500");
    response.end();
  });
  const port = await freePort();
  server.listen(port, "127.0.0.1");
  await once(server, "listening");
  const context = {
    folder,
    environment: { PATH: "/bin:/usr/bin" },
    timeoutMs: 500,
    signal: new AbortController().signal,
  };
  const check = async (kind: CheckKind): Promise<string | undefined> => {
    assert.ok(kind.kind !== "running");
    return checkOnce(kind, context);
  };
  const cases: [Parameters<typeof HealthCheck.fromPartial>[0]["check"], RegExp | undefined][] = [
    [{ $case: "httpUrl", value: "http://127.0.0.1:${PORT}/200" }, undefined],
    [{ $case: "httpUrl", value: "http://127.0.0.1:${PORT}/302" }, undefined],
    [{ $case: "httpUrl", value: "http://127.0.0.1:${PORT}/404" }, /status 404/],
    [{ $case: "httpUrl", value: "http://127.0.0.1:${PORT}/slow" }, /no answer in 500 ms/],
    [{ $case: "httpUrl", value: "http://127.0.0.1:1/" }, /ECONNREFUSED/],
    [{ $case: "tcpAddress", value: "127.0.0.1:${PORT}" }, undefined],
    [{ $case: "tcpAddress", value: "127.0.0.1:1" }, /ECONNREFUSED/],
    [{ $case: "command", value: { command: ["sh", "-c", "exit 0"] } }, undefined],
    [{ $case: "command", value: { command: ["sh", "-c", "exit 7"] } }, /exit code 7/],
    [{ $case: "command", value: { command: ["sh", "-c", "sleep 30"] } }, /no answer in 500 ms/],
    [{ $case: "command", value: { command: ["./missing"] } }, /ENOENT/],
  ];
  for (const [kind, expected] of cases) {
    const { kind: resolved } = resolveCheck(HealthCheck.fromPartial({ check: kind }), {
      PORT: String(port),
    });
    const answer = await check(resolved);
    if (expected === undefined) assert.is(answer, undefined, JSON.stringify(kind));
    else assert.match(answer ?? "healthy", expected);
  }
  server.closeAllConnections();
  server.close();
  const bad = (kind: (typeof cases)[number][0]) => () =>
    resolveCheck(HealthCheck.fromPartial({ check: kind }), {});
  assert.throws(bad({ $case: "httpUrl", value: "file:///etc" }), /not http/);
  assert.throws(bad({ $case: "tcpAddress", value: "host" }), /host:port/);
  assert.throws(bad({ $case: "httpUrl", value: "http://${NOPE}/" }), /NOPE/);
  assert.equal(resolveCheck(undefined, {}), {
    kind: { kind: "running" },
    intervalMs: 1_000,
    timeoutMs: 2_000,
    deadlineMs: 30_000,
  });
  await rm(folder, { recursive: true });
});

function supervise(folder: string, logFile: LogFile): Supervisor {
  const recordFile = path.join(folder, "record");
  return new Supervisor({ recordFile, releases: folder, logFile, log });
}

/** Fails as soon as the condition stops holding. */
async function assertStays(condition: () => boolean, ms: number): Promise<void> {
  const until = Date.now() + ms;
  while (Date.now() < until) {
    assert.ok(condition());
    await new Promise((resolve) => setTimeout(resolve, 20));
  }
}

test.run();
