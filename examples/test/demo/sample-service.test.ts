import { execFile, spawn } from "node:child_process";
import { createHash } from "node:crypto";
import { once } from "node:events";
import { cp, mkdtemp, readFile, rm, stat } from "node:fs/promises";
import { tmpdir } from "node:os";
import path from "node:path";
import { promisify } from "node:util";
import { suite } from "uvu";
import * as assert from "uvu/assert";
import { askHosts, askVersion } from "../../src/demo/ask-hosts.js";
import { createSampleRepository } from "../../src/demo/sample-repository.js";
import { freePort } from "../../src/servers/free-port.js";

const run = promisify(execFile);
const MEBIBYTE = 1024 * 1024;
const service = suite<{ dir: string }>("sample service");

service.before.each(async (context) => {
  context.dir = await mkdtemp(path.join(tmpdir(), "slipway-test-"));
});
service.after.each(({ dir }) => rm(dir, { recursive: true }));

async function build(checkout: string): Promise<string> {
  await run(process.execPath, ["build.mjs"], { cwd: checkout, timeout: 30_000 });
  const artifact = await readFile(path.join(checkout, "dist", "service.tar"));
  return createHash("sha256").update(artifact).digest("hex");
}

service("a commit always builds to the same tar, another one to another", async ({ dir }) => {
  const repository = await createSampleRepository(path.join(dir, "repository"), "First");
  assert.match(repository.head, /^[0-9a-f]{40}$/);
  const first = repository.head;
  await cp(repository.path, path.join(dir, "copy"), { recursive: true });
  const [one, two] = [await build(repository.path), await build(path.join(dir, "copy"))];
  assert.is(one, two);
  assert.ok((await stat(path.join(dir, "copy/dist/service.tar"))).size >= 32 * MEBIBYTE);
  const second = await repository.change("catalogue", "Second");
  assert.is.not(second, first);
  assert.is.not(await build(repository.path), one);
  assert.is(await repository.git("rev-list", "--count", "main"), "2");
  assert.is(await repository.git("status", "--porcelain"), "");
});

service("the tar holds a service that says its commit and serves its assets", async ({ dir }) => {
  const { path: checkout, head } = await createSampleRepository(path.join(dir, "r"), "First");
  await build(checkout);
  await run("tar", ["-xf", path.join(checkout, "dist/service.tar"), "-C", dir]);
  const port = await freePort();
  const server = spawn(process.execPath, ["server.mjs"], {
    cwd: dir,
    env: { PORT: String(port) },
    stdio: ["ignore", "pipe", "inherit"],
  });
  try {
    await once(server.stdout, "data");
    const url = `http://127.0.0.1:${port}`;
    const signal = AbortSignal.timeout(20_000);
    assert.is((await askVersion(url, signal)).commit, head);
    const host = { id: "h1", region: "eu", url };
    assert.equal(await askHosts([host], head, "catalogue", signal), []);
    assert.equal(await askHosts([host], "0".repeat(40), "catalogue", signal), [
      { host: "h1", fault: `serves ${head}` },
    ]);
    const [fault] = await askHosts([host], head, "nothing", signal);
    assert.match(fault?.fault ?? "", /answers 404/);
  } finally {
    server.kill("SIGTERM");
    const [code] = (await once(server, "exit")) as [number];
    assert.is(code, 0);
  }
});

service.run();
