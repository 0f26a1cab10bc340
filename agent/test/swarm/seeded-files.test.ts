import { execFile } from "node:child_process";
import { randomBytes } from "node:crypto";
import { readFile, readdir, rm, stat, utimes, writeFile } from "node:fs/promises";
import path from "node:path";
import process from "node:process";
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";
import { freePort } from "@slipway/examples/servers";
import { suite } from "uvu";
import * as assert from "uvu/assert";
import { FileChangedError, ManifestError, join } from "../../src/swarm/index.js";
import { SeededFiles } from "../../src/swarm/seeded-files.js";
import { temporaryDirectory } from "../store/fixtures.js";
import { Region, fetchAll, until } from "./fixtures.js";

const run = promisify(execFile);
const failure = (promise: Promise<unknown>): Promise<unknown> =>
  promise.catch((error: unknown) => error);
const test = suite<{ region: Region; dir: string; remove: () => Promise<void> }>("seeded files");
test.before.each(async (context) => {
  context.region = new Region();
  Object.assign(context, await temporaryDirectory());
});
test.after.each(async ({ region, remove }) => {
  await region.close();
  await remove();
});

test("a file is shared where it is, and fetched into another; without a source", async ({
  region,
  dir,
}) => {
  const listen = { host: "127.0.0.1", port: await freePort() };
  region.bootstrap.push(listen);
  const seeder = await join({
    identity: region.identity("s", "region"),
    membershipPublicKey: region.membership.publicKey,
    cell: "c1",
    listen,
    bootstrap: region.bootstrap,
    runBootstrap: true,
  });
  try {
    const file = path.join(dir, "file");
    const content = randomBytes(3_000_000);
    await writeFile(file, content);
    const seeded = await seeder.seed(file);
    assert.is(seeded.sizeBytes, content.length);
    assert.is((await seeder.seed(file)).digest, seeded.digest, "the same again");
    const host = await region.join("host");
    const to = path.join(dir, "copy");
    await writeFile(to, "an older one");
    const signal = AbortSignal.timeout(30_000);
    for await (const _ of host.swarm.fetch(seeded.digest, { store: host.store, signal, to })) {
      // Its progress is of no interest here.
    }
    assert.ok((await readFile(to)).equals(content));
    assert.is((await stat(to)).mode & 0o200, 0o200, "the copy is not the store's own");
    assert.equal((await readdir(dir)).toSorted(), ["copy", "file"], "nothing else is left");
  } finally {
    await seeder.close();
  }
});

test("what is unseeded is given no more", async ({ region, dir }) => {
  const seeder = await region.join("region");
  const file = path.join(dir, "file");
  await writeFile(file, randomBytes(100_000));
  const seeded = await seeder.swarm.seed(file);
  const again = await seeder.swarm.seed(file);
  const first = await region.join("host");
  seeded.unseed();
  seeded.unseed();
  await fetchAll(first, seeded.digest);
  again.unseed();
  await first.swarm.close();
  const second = await region.join("host");
  await until(() => second.swarm.stats.neighbours === 1, "the seeder");
  const signal = AbortSignal.timeout(700);
  const error = await fetchAll(second, seeded.digest, signal).catch((reason: unknown) => reason);
  assert.is((error as Error).name, "TimeoutError");
  assert.is(second.swarm.stats.bytesFromSeeders, 0);
});

test("a file that was written to is another one: it is not shared", async ({ dir }) => {
  const files = new SeededFiles(undefined);
  const file = path.join(dir, "file");
  await writeFile(file, randomBytes(1_000));
  const { digest } = await files.add(file, undefined);
  const artifact = await files.open(digest);
  const into = Buffer.alloc(1_000);
  await artifact?.read(0, 1_000, into);
  assert.ok(into.equals(await readFile(file)));
  const past = await artifact?.read(500, 501, Buffer.alloc(501)).catch((error: unknown) => error);
  assert.instance(past, FileChangedError);
  await Promise.all([artifact?.close(), artifact?.close()]);
  await utimes(file, 1, 1);
  assert.is(await files.open(digest), undefined);
  await files.add(file, undefined);
  assert.ok(await files.open(digest).then((opened) => opened?.close().then(() => true)));
  await rm(file);
  assert.is(await files.open(digest), undefined);
  assert.is(files.remove(digest), false, "it was added twice");
  assert.is(files.remove(digest), true);
  assert.is(files.remove(digest), false);
});

test("files that can't be seeded are errors with a type", async ({ dir }) => {
  const files = new SeededFiles(undefined);
  const file = path.join(dir, "file");
  assert.match(String(await failure(files.add(file, undefined))), "ENOENT");
  await writeFile(file, "");
  assert.instance(await failure(files.add(file, undefined)), ManifestError);
  await writeFile(file, randomBytes(5_000_000));
  const stopped = await failure(files.add(file, AbortSignal.abort(new Error("stop"))));
  assert.match(String(stopped), "stop");
});

test("the README's snippet does what it says", async ({ dir }) => {
  const readme = await readFile(new URL("../../README.md", import.meta.url), "utf8");
  const snippet = /```js\n([^`]*`[^]*?)```/.exec(readme)?.[1] ?? "";
  const code = snippet
    .replace("7801", String(await freePort()))
    .replace("7802", String(await freePort()))
    .replace("/tmp/share-", path.join(dir, "share-"));
  // What it imports is found from here.
  const cwd = fileURLToPath(new URL("../../../examples", import.meta.url));
  const { stdout } = await run(process.execPath, ["--input-type=module", "-e", code], {
    cwd,
    timeout: 60_000,
  });
  assert.match(stdout, "5000000 of 5000000 bytes\n5000000 0\n");
});

test.run();
