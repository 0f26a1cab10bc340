import { existsSync } from "node:fs";
import { chmod, mkdir, readFile } from "node:fs/promises";
import path from "node:path";
import { suite } from "uvu";
import * as assert from "uvu/assert";
import { type Child, startChild } from "../../src/processes/child.js";
import { endLeftovers, processesIn } from "../../src/processes/leftovers.js";
import { isAlive, waitUntilGone } from "../../src/processes/signals.js";
import {
  firstOpenToAll,
  type TemporaryDirectory,
  temporaryDirectory,
} from "../../src/processes/temporary-directory.js";
import { waitFor } from "../wait-for.js";

const children = suite<{ dir: TemporaryDirectory }>("children");

children.before.each(async (context) => {
  context.dir = await temporaryDirectory("slipway-test-");
});
children.after.each(({ dir }) => dir.remove());

function start(dir: string, script: string): Promise<Child> {
  return startChild({
    name: "child",
    command: process.execPath,
    args: ["-e", script],
    cwd: dir,
    logFile: path.join(dir, "log"),
  });
}

children("is asked to end, and told apart from one that was killed", async ({ dir }) => {
  const polite = `process.on("SIGTERM", () => process.exit(3)); setInterval(() => {}, 1e6);
    console.log("ready");`;
  const child = await start(dir.path, polite);
  await child.logged(/ready/, 10_000);
  assert.is(child.exit, undefined);
  assert.equal(await child.stop(), { code: 3, signal: null });
  assert.equal(await child.stop(), { code: 3, signal: null });
  const stubborn = polite.replace("process.exit(3)", "{}");
  const second = await start(dir.path, stubborn);
  await second.logged(/ready/, 10_000);
  assert.equal(await second.stop(100), { code: null, signal: "SIGKILL" });
});

children("a stopped one ends too", async ({ dir }) => {
  const child = await start(dir.path, `setInterval(() => {}, 1e6); console.log("ready");`);
  await child.logged(/ready/, 10_000);
  child.signal("SIGSTOP");
  assert.equal(await child.stop(), { code: null, signal: "SIGTERM" });
});

children("one that ends too soon is reported with its log", async ({ dir }) => {
  const child = await start(dir.path, `console.error("no disk"); process.exit(4)`);
  const error = await child.logged(/ready/, 10_000).catch((reason: Error) => reason);
  assert.match((error as Error).message, /child ended: 4[^]*no disk/);
});

children("one that cannot be started is reported", async ({ dir }) => {
  const error = await startChild({
    name: "nothing",
    command: path.join(dir.path, "missing"),
    args: [],
    cwd: dir.path,
    logFile: path.join(dir.path, "log"),
  }).catch((reason: Error) => reason);
  assert.match((error as Error).message, /nothing cannot be started/);
  assert.match(await readFile(path.join(dir.path, "log"), "utf8"), /^$/);
});

children("what a killed process left in a directory is ended", async ({ dir }) => {
  const orphan = `process.on("SIGTERM", () => {}); setInterval(() => {}, 1e6);`;
  const parent = await start(
    dir.path,
    `const child = require("node:child_process").spawn(process.execPath, ["-e", ${JSON.stringify(orphan)}],
      { detached: true, stdio: "ignore" });
    console.log("pid", child.pid); setInterval(() => {}, 1e6);`,
  );
  const pid = Number((await parent.logged(/pid (\d+)\n/, 10_000))[1]);
  parent.signal("SIGKILL");
  assert.equal(await parent.stop(), { code: null, signal: "SIGKILL" });
  assert.ok(isAlive(pid));
  assert.equal(await processesIn(dir.path), [pid]);
  await endLeftovers(dir.path);
  assert.ok(await waitUntilGone([pid], 5_000));
  assert.equal(await processesIn(dir.path), []);
  await dir.remove();
  await dir.remove();
  assert.not(existsSync(dir.path));
});

children("a directory for all users' servers is one that they can get to", async ({ dir }) => {
  const closed = path.join(dir.path, "closed");
  const below = path.join(closed, "below");
  await mkdir(below, { recursive: true });
  await chmod(closed, 0o700);
  assert.is(await firstOpenToAll([path.join(dir.path, "missing"), below, closed]), undefined);
  assert.is(await firstOpenToAll([below, "/"]), "/");
});

children("somebody's shell in a directory is left alone", async ({ dir }) => {
  const shell = `cd '${dir.path}' && echo pid $$ > said && exec sleep 60`;
  const linux = ["-qec", shell, "/dev/null"];
  const macos = ["-q", "/dev/null", "sh", "-c", shell];
  const terminal = await startChild({
    name: "terminal",
    command: "script",
    args: process.platform === "linux" ? linux : macos,
    cwd: "/",
    logFile: path.join(dir.path, "log"),
    env: { ...process.env, SHELL: "/bin/sh" },
  });
  const said = async (): Promise<string> =>
    readFile(path.join(dir.path, "said"), "utf8").catch(() => "");
  const pid = await waitFor(
    async () => Number(/pid (\d+)\n/.exec(await said())?.[1]) || undefined,
    10_000,
    "the shell says its process id",
  );
  assert.equal(await processesIn(dir.path), []);
  await endLeftovers(dir.path);
  assert.ok(isAlive(pid));
  process.kill(pid, "SIGKILL");
  await terminal.stop();
});

children.run();
