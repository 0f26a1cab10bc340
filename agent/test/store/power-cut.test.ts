import { mkdir, rm, writeFile } from "node:fs/promises";
import path from "node:path";
import { suite } from "uvu";
import * as assert from "uvu/assert";
import { openArtifactStore } from "../../src/store/artifact-store.js";
import { Bitfield } from "../../src/store/bitfield.js";
import { type Manifest, digestHex } from "../../src/store/manifest.js";
import { chunkOf, makeArtifact, temporaryDirectory } from "./fixtures.js";
import { type DiskOperation, recordDisk } from "./recording-disk.js";

const test = suite<{ dir: string; remove(): Promise<void> }>("a power cut");
test.before.each(async (context) => {
  Object.assign(context, await temporaryDirectory());
});
test.after.each((context) => context.remove());

const CHUNKS = 60;
const { content, manifest } = makeArtifact(Array.from({ length: CHUNKS }, (_, at) => 500 + at));

/** Writes the artifact with many syncs, in two goes, several chunks at a time, in no order. */
async function writeAll(dir: string): Promise<void> {
  const order = Array.from({ length: CHUNKS }, (_, at) => (at * 37) % CHUNKS);
  for (const part of [order.slice(0, 25), order.slice(25)]) {
    const store = await openArtifactStore(dir, { syncBytes: 3_000 });
    const write = await store.begin(manifest.bytes);
    for (let at = 0; at < part.length; at += 4) {
      const some = part.slice(at, at + 4);
      await Promise.all(some.map((index) => write.put(index, chunkOf(content, manifest, index))));
    }
    if (write.have.full) await write.complete();
    await write.close();
  }
}

/** What writing the artifact does to the disk. */
async function recorded(dir: string): Promise<readonly DiskOperation[]> {
  const disk = recordDisk();
  try {
    await writeAll(dir);
  } finally {
    disk.stop();
  }
  return disk.operations;
}

/** A file's content after these of its writes. */
function contentAfter(writes: readonly DiskOperation[], file: string, size: number): Buffer {
  const bytes = Buffer.alloc(size);
  for (const operation of writes) {
    if (operation.kind === "write" && operation.file === file) {
      operation.bytes.copy(bytes, operation.position);
    }
  }
  return bytes;
}

/** What of a file is sure to be on the disk when the power is cut after so many operations. */
function durable(operations: readonly DiskOperation[], at: number, file: string): Buffer {
  const last = operations
    .slice(0, at)
    .findLast((operation) => operation.kind === "sync" && operation.file === file);
  const before = last?.kind === "sync" ? last.before : 0;
  return contentAfter(operations.slice(0, before), file, manifest.sizeBytes);
}

function rightChunks(data: Buffer, of: Manifest): number[] {
  return Array.from({ length: of.chunkCount }, (_, index) => index).filter((index) =>
    of.verify(index, chunkOf(data, of, index)),
  );
}

test("have never claims what is not durable, wherever the power is cut", async ({ dir }) => {
  const operations = await recorded(dir);
  let claims = 0;
  for (const [at, operation] of operations.entries()) {
    // Written bits may be on the disk at once, though nobody synced them; data may not.
    if (operation.kind !== "write" || operation.file !== "have") continue;
    const claimed = new Bitfield(CHUNKS, Buffer.from(operation.bytes));
    const there = new Set(rightChunks(durable(operations, at, "data.partial"), manifest));
    for (let index = 0; index < CHUNKS; index++) {
      if (claimed.has(index)) assert.ok(there.has(index), `chunk ${index} at operation ${at}`);
    }
    claims = Math.max(claims, claimed.count);
  }
  assert.is(claims, CHUNKS);
  const syncs = operations.filter(({ kind }) => kind === "sync").length;
  assert.ok(syncs > 20, `${syncs} syncs`);
});

test("a complete artifact is durable before it gets its name", async ({ dir }) => {
  const operations = await recorded(dir);
  const at = operations.findIndex(
    (operation) => operation.kind === "rename" && operation.to === "data",
  );
  assert.is(rightChunks(durable(operations, at, "data.partial"), manifest).length, CHUNKS);
  const named = operations.findIndex(
    (operation) => operation.kind === "rename" && operation.to === "manifest",
  );
  const synced = operations
    .slice(0, named)
    .findIndex(
      ({ kind, ...rest }) => kind === "sync" && "file" in rest && rest.file === "manifest.new",
    );
  assert.ok(synced >= 0 && named > synced, "the manifest is durable before it gets its name");
});

test("what any cut leaves is taken up, and completed", async ({ dir }) => {
  const operations = await recorded(dir);
  const own = path.join(dir, "artifacts", digestHex(manifest.digest));
  for (let at = 0; at < operations.length; at += 9) {
    const written = operations.slice(0, at);
    await rm(own, { recursive: true, force: true });
    await mkdir(own, { recursive: true });
    // The worst: all that was written of the claims is there, and of the data what was synced.
    const have = written.findLast((one) => one.kind === "write" && one.file === "have");
    const recent = written.flatMap((one) =>
      one.kind === "write" && one.file === "recent" ? [one.bytes] : [],
    );
    if (have?.kind === "write") await writeFile(path.join(own, "have"), have.bytes);
    await writeFile(path.join(own, "recent"), Buffer.concat(recent));
    await writeFile(path.join(own, "data.partial"), durable(operations, at, "data.partial"));
    const store = await openArtifactStore(dir);
    const write = await store.begin(manifest.bytes);
    const claimed =
      have?.kind === "write" ? new Bitfield(CHUNKS, Buffer.from(have.bytes)).count : 0;
    assert.ok(write.have.count >= claimed);
    for (let index = 0; index < CHUNKS; index++) {
      assert.ok(await write.put(index, chunkOf(content, manifest, index)));
    }
    await write.complete();
    await write.close();
    assert.ok(await store.verify(manifest.digest));
  }
});

test.run();
