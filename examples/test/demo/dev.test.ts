import { spawn } from "node:child_process";
import { once } from "node:events";
import { chmod, mkdir, mkdtemp, readdir, realpath, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import path from "node:path";
import { fileURLToPath } from "node:url";
import { suite } from "uvu";
import * as assert from "uvu/assert";
import { waitFor } from "../wait-for.js";

const MAIN = fileURLToPath(new URL("../../src/local-fleet/main.ts", import.meta.url));
const ROOT = fileURLToPath(new URL("../../..", import.meta.url));

const dev = suite<{ above: string; dir: string }>("npm run dev");

dev.before.each(async (context) => {
  context.above = await realpath(await mkdtemp(path.join(tmpdir(), "slipway-test-")));
  await chmod(context.above, 0o711);
  context.dir = path.join(context.above, "it's ü here");
  await mkdir(context.dir, { mode: 0o711 });
});
dev.after.each(({ above }) => rm(above, { recursive: true }));

function run(program: string, args: string[], env: NodeJS.ProcessEnv, input = "") {
  const child = spawn(program, args, { cwd: ROOT, env: { ...process.env, ...env } });
  const said = { text: "" };
  for (const stream of [child.stdout, child.stderr]) {
    stream.on("data", (data: Buffer) => (said.text += data.toString()));
  }
  child.stdin.end(input);
  return { child, said, closed: once(child, "close") };
}

dev("prints commands that can be pasted as they are", async ({ dir }) => {
  const { child, said, closed } = run(process.execPath, ["--import", "tsx", MAIN, "dev"], {
    TMPDIR: dir,
  });
  await waitFor(() => said.text.includes("Ctrl-C ends") || child.exitCode !== null, 90_000, "dev");
  const printed =
    /In another terminal[^\n]*\n([^]*)\nCtrl-C ends/.exec(said.text)?.[1] ?? said.text;
  const shell = run("sh", ["-eu"], {}, printed);
  const [code] = (await shell.closed) as [number];
  assert.is(code, 0, shell.said.text);
  assert.match(shell.said.text, /"host":"eu-1"/);
  assert.is(shell.said.text.match(/runs on every host/g)?.length, 3, shell.said.text);
  child.kill("SIGINT");
  assert.equal(await closed, [0, null]);
  assert.equal(
    (await readdir(dir)).filter((name) => name.startsWith("slipway-")),
    [],
  );
});

dev.run();
