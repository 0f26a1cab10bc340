import { spawn } from "node:child_process";
import { once } from "node:events";
import {
  appendFile,
  chmod,
  mkdir,
  readFile,
  rm,
  stat,
  truncate,
  utimes,
  writeFile,
} from "node:fs/promises";
import path from "node:path";
import process from "node:process";
import { fileURLToPath } from "node:url";
import { suite } from "uvu";
import * as assert from "uvu/assert";
import { openArtifactStore } from "../../src/store/artifact-store.js";
import {
  ArtifactBusyError,
  ChunkWriterError,
  NotAFileError,
  StoreFullError,
  storeError,
} from "../../src/store/errors.js";
import { type Manifest, digestHex } from "../../src/store/manifest.js";
import type { ArtifactStore } from "../../src/store/types.js";
import { chunkOf, makeArtifact, temporaryDirectory } from "./fixtures.js";

const test = suite<{ dir: string; store: ArtifactStore; remove(): Promise<void> }>(
  "artifact store",
);
const KiB = 1024;

test.before.each(async (context) => {
  Object.assign(context, await temporaryDirectory());
  context.store = await openArtifactStore(context.dir);
});
test.after.each((context) => context.remove());

test("an artifact is written in any order, completed, read and listed", async ({ store }) => {
  const { content, manifest } = makeArtifact([100, 64 * KiB, 7]);
  const { digest } = manifest;
  assert.is(await store.open(digest), undefined);
  const write = await store.begin(manifest.bytes);
  for (const index of [2, 0, 0, 1]) await write.put(index, chunkOf(content, manifest, index));
  assert.is(write.bytesDone, content.length);
  const chunk = Buffer.alloc(64 * KiB);
  await write.readChunk(1, chunk);
  assert.ok(chunk.equals(chunkOf(content, manifest, 1)));
  assert.is(await store.open(digest), undefined, "not visible before it is complete");
  assert.is((await store.list())[0]?.complete, false);
  await write.complete();
  await write.close();
  await write.close();

  const file = await store.path(digest);
  assert.ok(file);
  assert.ok((await readFile(file)).equals(content));
  const artifact = await store.open(digest);
  assert.ok(artifact);
  const into = Buffer.alloc(50);
  await artifact.read(90, 50, into);
  assert.ok(into.equals(content.subarray(90, 140)));
  assert.ok(artifact.manifestBytes.equals(manifest.bytes));
  await fails(artifact.read(content.length - 1, 2, into), Error, "ends");
  assert.equal(
    (await store.list()).map(({ digest, complete }) => ({ digest, complete })),
    [{ digest, complete: true }],
  );
  await fails(store.remove(digest), ArtifactBusyError);
  await artifact.close();
  await artifact.close();
  await store.remove(digest);
  await store.remove(digest);
  assert.equal(await store.list(), []);
});

test("refuses what would break it", async ({ store }) => {
  const { content, manifest } = makeArtifact([10, 20]);
  const write = await store.begin(manifest.bytes);
  await fails(store.begin(manifest.bytes), ArtifactBusyError);
  assert.is(await write.put(1, content.subarray(0, 10)), false, "too short");
  assert.is(await write.put(0, content.subarray(1, 11)), false, "other bytes");
  await fails(write.put(2, content.subarray(0, 10)), RangeError);
  await fails(write.readChunk(0, Buffer.alloc(10)), Error, "not here");
  await fails(write.complete(), Error, "not complete");
  await write.close();
  await fails(write.put(0, content.subarray(0, 10)), Error, "closed");
  await fails(store.open("sha256:../../../etc/passwd"), Error, "not an artifact digest");
  await fails(store.remove(".."), Error, "not an artifact digest");
});

test("goes on after a close", async ({ dir, store }) => {
  const { content, manifest } = makeArtifact([10, 20, 30]);
  const first = await store.begin(manifest.bytes);
  await first.put(1, chunkOf(content, manifest, 1));
  await first.close();
  const again = await openArtifactStore(dir);
  const second = await again.begin(manifest.bytes);
  assert.is(second.bytesDone, 20);
  assert.ok((await again.readManifest(manifest.digest))?.equals(manifest.bytes));
  await second.close();
});

for (const [what, { damage, expected }] of Object.entries<{
  damage: (at: (name: string) => string, manifest: Manifest) => Promise<void>;
  expected: number;
}>({
  "have bits of the wrong size": { damage: (at) => appendFile(at("have"), "x"), expected: 0 },
  "no have bits": { damage: (at) => truncate(at("have"), 0), expected: 0 },
  "data cut below a claimed chunk": {
    damage: (at) => truncate(at("data.partial"), 45),
    expected: 30,
  },
  "recent chunks that are right": {
    damage: async (at) => {
      await writeFile(at("have"), Buffer.from([0]));
      await writeFile(at("recent"), Buffer.from("00000000000000020000", "hex"));
    },
    expected: 40,
  },
  "recent chunks with other bytes, or that don't exist": {
    damage: async (at, manifest) => {
      await writeFile(at("have"), Buffer.from([0]));
      await writeFile(at("data.partial"), Buffer.alloc(manifest.sizeBytes));
      await writeFile(at("recent"), Buffer.from("0000000000000002ffffffff", "hex"));
    },
    expected: 0,
  },
  "a flipped bit": {
    damage: async (at) => {
      const bytes = await readFile(at("data.partial"));
      bytes.writeUInt8(bytes.readUInt8(12) ^ 1, 12);
      await writeFile(at("data.partial"), bytes);
    },
    expected: 40,
  },
  "bits of chunks that never came": {
    damage: (at, manifest) => writeFile(at("data.partial"), Buffer.alloc(manifest.sizeBytes)),
    expected: 0,
  },
  "a damaged manifest": { damage: (at) => truncate(at("manifest"), 20), expected: 60 },
})) {
  test(`takes up only what is really there: ${what}`, async ({ dir, store }) => {
    const { content, manifest } = makeArtifact([10, 20, 30]);
    const first = await store.begin(manifest.bytes);
    for (const index of [0, 1, 2]) await first.put(index, chunkOf(content, manifest, index));
    await first.close();
    await damage((name) => path.join(dir, "artifacts", digestHex(manifest.digest), name), manifest);
    const next = await openArtifactStore(dir);
    const second = await next.begin(manifest.bytes);
    assert.is(second.bytesDone, expected);
    for (const index of [0, 1, 2]) await second.put(index, chunkOf(content, manifest, index));
    await second.complete();
    await second.close();
    const file = await store.path(manifest.digest);
    assert.ok(file && (await readFile(file)).equals(content));
  });
}

test("a retry of the same process reads nothing again, but sees that the file was cut", async ({
  dir,
  store,
}) => {
  const { content, manifest } = makeArtifact([10, 20, 30]);
  const file = path.join(dir, "artifacts", digestHex(manifest.digest), "data.partial");
  const first = await store.begin(manifest.bytes);
  for (const index of [0, 1, 2]) await first.put(index, chunkOf(content, manifest, index));
  await first.close();
  await writeFile(file, Buffer.alloc(manifest.sizeBytes));
  const second = await store.begin(manifest.bytes);
  assert.is(second.bytesDone, 60);
  await second.close();
  await truncate(file, 45);
  const third = await store.begin(manifest.bytes);
  assert.is(third.bytesDone, 0);
  await third.close();
});

for (const [what, damage] of Object.entries<
  (at: (name: string) => string, content: Buffer) => Promise<void>
>({
  "a flipped bit": async (at, content) => {
    await rm(at("data"));
    await writeFile(at("data"), Buffer.from(content).fill(content.readUInt8(70) ^ 1, 70, 71));
  },
  "a cut file": async (at) => {
    await chmod(at("data"), 0o600);
    await truncate(at("data"), 70);
  },
  "a damaged manifest": (at) => truncate(at("manifest"), 20),
})) {
  test(`a complete artifact that was damaged is noticed, and made again: ${what}`, async ({
    dir,
    store,
  }) => {
    const { content, manifest } = makeArtifact([60, 40]);
    const { digest } = manifest;
    const put = async (): Promise<void> => {
      const write = await store.begin(manifest.bytes);
      for (const index of [0, 1]) await write.put(index, chunkOf(content, manifest, index));
      await write.complete();
      await write.close();
    };
    assert.is(await store.verify(digest), false);
    await put();
    assert.is(await store.verify(digest), true);
    await damage((name) => path.join(dir, "artifacts", digestHex(digest), name), content);
    assert.is(await store.verify(digest), false);
    assert.is(await store.path(digest), undefined);
    await put();
    assert.is(await store.verify(digest), true);
  });
}

test("a large artifact is written by the store's thread", async ({ store }) => {
  const { content, manifest } = makeArtifact(Array.from({ length: 10 }, () => 1024 * KiB));
  const write = await store.begin(manifest.bytes);
  const chunks = Array.from({ length: 10 }, (_, index) => chunkOf(content, manifest, index));
  assert.equal(
    await Promise.all(chunks.map((chunk, index) => write.put(index, chunks[index ^ 1] ?? chunk))),
    chunks.map(() => false),
  );
  assert.is(write.bytesDone, 0);
  assert.equal(
    await Promise.all(chunks.map((chunk, index) => write.put(index, chunk))),
    chunks.map(() => true),
  );
  await write.complete();
  await write.close();
  assert.ok((await readFile((await store.path(manifest.digest)) ?? "")).equals(content));
  const next = makeArtifact(Array.from({ length: 10 }, () => 1024 * KiB));
  const late = await store.begin(next.manifest.bytes);
  await store.close();
  await store.close();
  await fails(late.put(0, chunkOf(next.content, next.manifest, 0)), ChunkWriterError);
  await late.close();
});

for (const size of [1_000_000, 20_000_000]) {
  test(`a killed process loses nothing that it wrote, ${size} bytes`, async ({ dir, store }) => {
    const { content, manifest } = makeArtifact([size / 4, size / 4, size / 2]);
    await writeFile(path.join(dir, "manifest"), manifest.bytes);
    await writeFile(path.join(dir, "content"), content);
    const child = spawnWriter(dir, "hang");
    await once(child.stdout, "data");
    child.kill("SIGKILL");
    await once(child, "exit");
    const write = await store.begin(manifest.bytes);
    assert.is(write.bytesDone, size);
    await write.close();
  });
}

test("no room is a typed failure, and the rest of the artifact comes later", async ({
  dir,
  store,
}) => {
  const { content, manifest } = makeArtifact([64 * KiB, 64 * KiB, 64 * KiB]);
  await writeFile(path.join(dir, "manifest"), manifest.bytes);
  await writeFile(path.join(dir, "content"), content);
  // 100 KiB for any file: the second chunk does not fit.
  const child = spawnWriter(dir, "report", 'ulimit -f 200; exec "$@"');
  let output = "";
  child.stdout.on("data", (data: Buffer) => (output += data.toString()));
  await once(child, "close");
  assert.is(output.trim(), "StoreFullError after 1");
  const write = await store.begin(manifest.bytes);
  assert.is(write.bytesDone, 64 * KiB);
  for (const index of [1, 2]) await write.put(index, chunkOf(content, manifest, index));
  await write.complete();
  await write.close();
  for (const code of ["ENOSPC", "EDQUOT"]) {
    assert.instance(storeError(Object.assign(new Error("x"), { code })), StoreFullError);
  }
  const other = Object.assign(new Error("x"), { code: "EIO" });
  assert.is(storeError(other), other);
});

test("collects the oldest first, but nothing kept or in use", async ({ dir, store }) => {
  const digests: string[] = [];
  for (let age = 0; age < 4; age++) {
    const { content, manifest } = makeArtifact([64 * KiB]);
    const write = await store.begin(manifest.bytes);
    await write.put(0, content);
    await write.complete();
    await write.close();
    const used = new Date(Date.now() - (10 - age) * 60_000);
    await utimes(path.join(dir, "artifacts", digestHex(manifest.digest)), used, used);
    digests.push(manifest.digest);
  }
  const [kept = "", oldest = "", opened = "", newest = ""] = digests;
  const [first] = await store.list();
  const diskBytes = first?.diskBytes ?? 0;
  assert.ok(diskBytes >= 64 * KiB);
  const untouched = await store.collect(new Set([kept]), { maxBytes: diskBytes * 4 });
  assert.equal(untouched, { removed: [], freedBytes: 0, remainingBytes: diskBytes * 4 });
  assert.equal((await store.collect(new Set([kept]), { maxBytes: diskBytes * 3 })).removed, [
    oldest,
  ]);
  const reader = await store.open(opened);
  const all = await store.collect(new Set([kept]), { maxBytes: 0 });
  assert.equal(all.removed, [newest]);
  assert.is(all.remainingBytes, diskBytes * 2);
  await reader?.close();
  assert.ok((await stat((await store.path(kept)) ?? "")).isFile());
});

for (const name of ["manifest", "have", "recent", "data.partial"]) {
  test(`a directory where ${name} should be is named, and what to do about it`, async ({
    dir,
    store,
  }) => {
    const { manifest } = makeArtifact([1_000]);
    const write = await store.begin(manifest.bytes);
    await write.close();
    const file = path.join(dir, "artifacts", digestHex(manifest.digest), name);
    await rm(file, { force: true });
    await mkdir(file);
    const error = await store.begin(manifest.bytes).then(
      () => undefined,
      (thrown: unknown) => thrown,
    );
    assert.instance(error, NotAFileError);
    assert.is(
      (error as Error).message,
      `${file} is a directory, and should be a file: move it away`,
    );
    await rm(file, { recursive: true });
    await (await store.begin(manifest.bytes)).close();
  });
}

test("what somebody else put between the artifacts is left alone, and in nobody's way", async ({
  dir,
  store,
}) => {
  const stray = `sha256:${"0".repeat(64)}`;
  const file = path.join(dir, "artifacts", digestHex(stray));
  await writeFile(file, "not a directory");
  await writeFile(path.join(dir, "artifacts", "notes"), "");
  const { content, manifest } = makeArtifact([1_000]);
  const write = await store.begin(manifest.bytes);
  await (await write.findCopies(() => undefined)).close();
  await write.put(0, content);
  await write.complete();
  await write.close();
  assert.equal(
    (await store.list()).map(({ digest }) => digest),
    [manifest.digest],
  );
  assert.is(await store.open(stray), undefined);
  assert.is(await store.path(stray), undefined);
  const { removed } = await store.collect(new Set(), { maxBytes: 0 });
  assert.equal(removed, [manifest.digest]);
  assert.ok((await stat(file)).isFile());
});

/** A process that writes the chunks of dir/content into the store at dir. */
function spawnWriter(dir: string, mode: string, shell = 'exec "$@"') {
  const program = fileURLToPath(new URL("./writer.ts", import.meta.url));
  const command = [process.execPath, "--import", "tsx", program, dir, mode];
  return spawn("/bin/sh", ["-c", shell, "sh", ...command], {
    stdio: ["ignore", "pipe", "inherit"],
  });
}

async function fails(
  promise: Promise<unknown>,
  type: new (...args: never[]) => Error,
  message = "",
): Promise<void> {
  const error = await promise.then(
    () => undefined,
    (reason: unknown) => reason,
  );
  assert.instance(error, type);
  assert.match(String(error), message);
}

test.run();
