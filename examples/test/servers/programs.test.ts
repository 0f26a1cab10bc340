import { spawn } from "node:child_process";
import { once } from "node:events";
import { existsSync } from "node:fs";
import { chmod, mkdir, mkdtemp, readFile, realpath, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import path from "node:path";
import { createInterface } from "node:readline";
import { fileURLToPath } from "node:url";
import { suite } from "uvu";
import * as assert from "uvu/assert";
import { cached, cacheFolders } from "../../src/servers/cache-folder.js";
import { isSupportedVersion } from "../../src/servers/nats-binary.js";
import { reasonOf } from "../../src/servers/nats-fetch.js";
import { waitFor } from "../wait-for.js";

const programs = suite<{ dir: string; before: string | undefined }>("programs");

programs.before.each(async (context) => {
  context.dir = await realpath(await mkdtemp(path.join(tmpdir(), "slipway-test-")));
  context.before = process.env["XDG_CACHE_HOME"];
  process.env["XDG_CACHE_HOME"] = context.dir;
});

programs.after.each(async (context) => {
  if (context.before === undefined) delete process.env["XDG_CACHE_HOME"];
  else process.env["XDG_CACHE_HOME"] = context.before;
  await rm(context.dir, { recursive: true });
});

programs("takes nats-server 2.9 and newer", () => {
  assert.ok(isSupportedVersion("nats-server: v2.9.10\n"));
  assert.ok(isSupportedVersion("nats-server: v2.12.1-RC.2"));
  assert.ok(isSupportedVersion("nats-server: v3.0.0"));
  assert.not(isSupportedVersion("nats-server: v2.8.4"));
  assert.not(isSupportedVersion("nats-server: v1.10.0"));
  assert.not(isSupportedVersion("command not found"));
});

programs("prefers the cache folder that the user chose", ({ dir }) => {
  assert.is(cacheFolders({ XDG_CACHE_HOME: dir, HOME: "/home/a" })[0], path.join(dir, "slipway"));
  assert.ok(cacheFolders({}).every((folder) => path.isAbsolute(folder)));
  assert.ok(cacheFolders({ XDG_CACHE_HOME: "relative", HOME: "" }).length > 0);
});

async function accept(folder: string): Promise<void> {
  assert.is(await readFile(path.join(folder, "b"), "utf8"), "2");
}

programs("makes a thing once, and whole, when several want it", async ({ dir }) => {
  let making = 0;
  const make = async (folder: string): Promise<void> => {
    making++;
    await writeFile(path.join(folder, "a"), "1");
    await new Promise(setImmediate);
    await writeFile(path.join(folder, "b"), "2");
  };
  const wanted = Array.from({ length: 5 }, () => cached("thing", make, accept));
  assert.equal(new Set(await Promise.all(wanted)), new Set([path.join(dir, "slipway", "thing")]));
  const before = making;
  await cached("thing", make, accept);
  assert.is(making, before);
});

programs("passes over a folder that others can write to", async ({ dir }) => {
  await mkdir(path.join(dir, "slipway"));
  await chmod(path.join(dir, "slipway"), 0o777);
  const name = `test-${process.pid}`;
  const made = await cached(
    name,
    (folder) => writeFile(path.join(folder, "a"), "1"),
    async () => undefined,
  );
  try {
    assert.not(made.startsWith(dir));
  } finally {
    await rm(made, { recursive: true });
  }
});

programs("leaves nothing of a thing whose maker was killed", async ({ dir }) => {
  const script = fileURLToPath(new URL("fixtures/maker.ts", import.meta.url));
  const maker = spawn(process.execPath, ["--import", "tsx", script], {
    stdio: ["ignore", "pipe", "inherit"],
  });
  const [folder] = (await once(createInterface({ input: maker.stdout }), "line")) as [string];
  assert.ok(folder.startsWith(dir) && existsSync(folder));
  maker.kill("SIGKILL");
  await waitFor(() => !existsSync(folder), 10_000, "removed folder");
});

const failed = (stderr: string): Error =>
  Object.assign(new Error("Command failed: x\ny"), { stderr });

programs("tells in one line why a program failed", () => {
  const apt = "W: odd\nE: Failed to fetch http://a/InRelease  Temporary failure\nE: Some failed\n";
  assert.is(reasonOf(failed(apt)), "Failed to fetch http://a/InRelease Temporary failure");
  assert.is(reasonOf(failed("first\nlast\n\n")), "last");
  assert.is(reasonOf(failed("")), "Command failed: x");
  assert.is(reasonOf(new Error("spawn x ENOENT")), "spawn x ENOENT");
  assert.match(
    reasonOf(Object.assign(failed("W: slow"), { killed: true })),
    /^no end within \d+ s$/,
  );
});

programs.run();
