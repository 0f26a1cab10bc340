import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { chmod, mkdtemp, readdir, realpath, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import path from "node:path";
import { fileURLToPath } from "node:url";
import { suite } from "uvu";
import * as assert from "uvu/assert";
import { waitFor } from "../wait-for.js";

const MAIN = fileURLToPath(new URL("../../src/local-fleet/main.ts", import.meta.url));

const command = suite<{ dir: string }>("the demo's command");

command.before.each(async (context) => {
  context.dir = await realpath(await mkdtemp(path.join(tmpdir(), "slipway-test-")));
  // Root's Postgres, which is another user's, is given no directory that it cannot get to.
  await chmod(context.dir, 0o711);
});
command.after.each(({ dir }) => rm(dir, { recursive: true }));

/** Everything that it leaves behind while it runs is in `dir`. */
function start(dir: string, program: string, args: string[]): ChildProcess {
  const env = { ...process.env, TMPDIR: dir, npm_lifecycle_event: "demo" };
  return spawn(program, args, { env, stdio: ["ignore", "pipe", "pipe"] });
}

const node = ["--import", "tsx", MAIN, "demo"];

async function isEmpty(dir: string): Promise<boolean> {
  return !(await readdir(dir)).some((name) => name.startsWith("slipway-"));
}

async function hasBegun(dir: string): Promise<void> {
  await waitFor(async () => !(await isEmpty(dir)), 30_000, "a fleet's directory");
}

function textOf(stream: NodeJS.ReadableStream | null): { text: string } {
  const said = { text: "" };
  stream?.on("data", (data: Buffer) => (said.text += data.toString()));
  return said;
}

command("stops in order when asked twice at once, as npm does", async ({ dir }) => {
  const demo = start(dir, process.execPath, node);
  const said = textOf(demo.stdout);
  await hasBegun(dir);
  const closed = once(demo, "close");
  demo.kill("SIGINT");
  await waitFor(() => said.text.includes("stopping"), 10_000, "it says that it stops");
  demo.kill("SIGINT");
  assert.equal(await closed, [130, null]);
  assert.match(said.text, /everything is stopped/);
  assert.ok(await isEmpty(dir));
});

command("stops without a word when nobody reads what it says", async ({ dir }) => {
  const demo = start(dir, process.execPath, node);
  const complaints = textOf(demo.stderr);
  demo.stdout?.destroy();
  assert.equal(await once(demo, "close"), [141, null]);
  assert.is(complaints.text, "");
  assert.ok(await isEmpty(dir));
});

command("stops when what started it is killed", async ({ dir }) => {
  const quoted = [process.execPath, ...node].map((word) => `'${word}'`).join(" ");
  const shell = start(dir, "sh", ["-c", `${quoted}; exit $?`]);
  const said = textOf(shell.stdout);
  await hasBegun(dir);
  shell.kill("SIGKILL");
  await once(shell, "close");
  assert.match(said.text, /everything is stopped/);
  assert.ok(await isEmpty(dir));
});

command.run();
