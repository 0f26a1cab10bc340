import { execFile } from "node:child_process";
import { randomBytes } from "node:crypto";
import { mkdir, open, readFile, readdir, rm, stat, utimes, writeFile } from "node:fs/promises";
import path from "node:path";
import process from "node:process";
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";
import { freePort } from "@slipway/examples/servers";
import { suite } from "uvu";
import * as assert from "uvu/assert";
import {
  FileChangedError,
  ManifestError,
  NotAFileError,
  SaveFileError,
  SwarmClosedError,
  join,
} from "../../src/swarm/index.js";
import { SeededFiles } from "../../src/swarm/seeded-files.js";
import { temporaryDirectory } from "../store/fixtures.js";
import { mountSmallDisk } from "../store/small-disk.js";
import { type Member, Region, fetchAll, seed, until } from "./fixtures.js";

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

test("only a plain file is seeded: a pipe would wait for ever", async ({ dir }) => {
  const files = new SeededFiles(undefined);
  const pipe = path.join(dir, "pipe");
  await run("mkfifo", [pipe]);
  for (const other of [pipe, dir, "/dev/zero"]) {
    const error = await failure(files.add(other, undefined));
    assert.instance(error, NotAFileError);
    assert.match(String(error), other);
  }
});

test("a file that changes while it is given: no wrong bytes, and it is not shared any more", async ({
  region,
  dir,
}) => {
  const seeder = await region.join("region", { maxUploadBytesPerSecond: 2_000_000 });
  const file = path.join(dir, "file");
  await writeFile(file, randomBytes(8_000_000));
  const { digest } = await seeder.swarm.seed(file);
  const host = await region.join("host");
  const stop = new AbortController();
  const fetching = failure(fetchAll(host, digest, stop.signal));
  await until(() => host.swarm.stats.bytesFromSeeders > 0, "the first chunk");
  const handle = await open(file, "r+");
  await handle.write(randomBytes(8_000_000), 0, 8_000_000, 0);
  await handle.close();
  await until(() => host.swarm.stats.verifyFailures > 0, "a wrong chunk");
  stop.abort(new Error("enough"));
  assert.match(String(await fetching), "enough");
  const other = await region.join("host");
  await until(() => other.swarm.stats.seederNeighbours === 1, "the seeder");
  const late = await failure(fetchAll(other, digest, AbortSignal.timeout(700)));
  assert.is((late as Error).name, "TimeoutError");
  assert.is(other.swarm.stats.bytesFromSeeders, 0);
});

const into = async ({ swarm, store }: Member, digest: string, to: string): Promise<void> => {
  const signal = AbortSignal.timeout(30_000);
  for await (const _ of swarm.fetch(digest, { store, signal, to })) {
    // Its progress is of no interest here.
  }
};

test("where nothing can be put is said before anything is fetched, and nothing is left", async ({
  region,
  dir,
}) => {
  const seeder = await region.join("region");
  const { digest } = await seed(seeder, 4);
  const host = await region.join("host");
  const folder = path.join(dir, "folder");
  const pipe = path.join(dir, "pipe");
  await mkdir(folder);
  await run("mkfifo", [pipe]);
  for (const to of [
    folder,
    `${folder}/`,
    `${folder}2/`,
    pipe,
    "",
    path.join(dir, "none", "file"),
  ]) {
    const error = await failure(into(host, digest, to));
    assert.instance(error, SaveFileError, to);
    assert.match(String(error), JSON.stringify(to));
  }
  assert.is(host.swarm.stats.bytesFromSeeders, 0);
  assert.equal((await readdir(dir)).toSorted(), ["folder", "pipe"]);
  assert.equal(await readdir(folder), []);
});

test("a full disk where it is to go: the artifact stays, and goes there once there is room", async ({
  region,
  dir,
}) => {
  const disk = await mountSmallDisk(dir, 300_000);
  if (disk === undefined) return;
  try {
    const seeder = await region.join("region");
    const { digest, content } = await seed(seeder, 4);
    const host = await region.join("host");
    const to = path.join(disk.dir, "file");
    const error = await failure(into(host, digest, to));
    assert.instance(error, SaveFileError);
    assert.match(String(error), "ENOSPC");
    assert.equal(await readdir(disk.dir), []);
    await disk.resize(2 * content.length);
    await into(host, digest, to);
    assert.ok((await readFile(to)).equals(content));
    assert.is(host.swarm.stats.bytesFromSeeders, content.length, "not fetched again");
  } finally {
    await disk.unmount();
  }
});

test("a closed swarm says so to whoever still uses it", async ({ region, dir }) => {
  const seeder = await region.join("region");
  const file = path.join(dir, "file");
  await writeFile(file, randomBytes(1_000));
  const digest = `sha256:${"0".repeat(64)}`;
  const waiting = failure(fetchAll(seeder, digest));
  await Promise.all([seeder.swarm.close(), seeder.swarm.close()]);
  for (const error of [
    await waiting,
    await failure(fetchAll(seeder, digest)),
    await failure(seeder.swarm.seed(file)),
  ]) {
    assert.instance(error, SwarmClosedError);
  }
  seeder.swarm.announce(digest);
  seeder.swarm.joinCell("other");
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
