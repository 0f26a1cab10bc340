import { createHash, randomBytes } from "node:crypto";
import { suite } from "uvu";
import * as assert from "uvu/assert";
import {
  BlobStoreError,
  copyArtifact,
  verifyArtifact,
  type BlobStore,
  type BlobStoreErrorReason,
} from "../../src/blob/index.js";
import { artifactDigest, encodeManifest } from "../../src/store/manifest.js";

/** An implementation under test. */
export interface Subject {
  /** A new, empty store, and a way to open the same store once more. */
  open: () => Promise<{
    store: BlobStore;
    again: () => Promise<BlobStore>;
    remove: () => Promise<void>;
  }>;
}

export interface Sample {
  digest: string;
  bytes: Buffer;
  manifestBytes: Buffer;
  chunks: Buffer[];
  chunk(index: number): Buffer;
}

/** An artifact of random bytes with chunks of these sizes. */
export function sample(...chunkSizes: number[]): Sample {
  const chunks = chunkSizes.map((size) => randomBytes(size));
  const bytes = Buffer.concat(chunks);
  const manifestBytes = encodeManifest({
    chunkSizes,
    chunkHashes: Buffer.concat(chunks.map(sha256)),
    contentHash: sha256(bytes),
  });
  const digest = artifactDigest(manifestBytes);
  const chunk = (index: number): Buffer => chunks.slice(index)[0] ?? Buffer.alloc(0);
  return { digest, bytes, manifestBytes, chunks, chunk };
}

function sha256(data: Buffer): Buffer {
  return createHash("sha256").update(data).digest();
}

/** Puts all of a sample. */
export async function putSample(
  store: BlobStore,
  { manifestBytes, chunks }: Sample,
): Promise<void> {
  const write = await store.beginPut(manifestBytes);
  for (const [index, chunk] of chunks.entries()) await write.writeChunk(index, chunk);
  await write.commit();
  await write.close();
}

async function readAll(
  store: BlobStore,
  digest: string,
  offset: number,
  length: number,
): Promise<Buffer> {
  const parts: Buffer[] = [];
  for await (const part of store.read(digest, offset, length)) parts.push(part);
  return Buffer.concat(parts);
}

async function listAll(store: BlobStore): Promise<string[]> {
  const digests: string[] = [];
  for await (const digest of store.list()) digests.push(digest);
  return digests.sort();
}

/** Asserts that it throws a BlobStoreError of that reason. */
export async function refuses(
  reason: BlobStoreErrorReason,
  action: () => Promise<unknown>,
): Promise<BlobStoreError> {
  try {
    await action();
  } catch (error) {
    if (!(error instanceof BlobStoreError)) throw error;
    assert.is(error.reason, reason, error.message);
    return error;
  }
  throw new Error(`not refused as ${reason}`);
}

/** What every BlobStore does. Registers and runs the tests. */
export function conformance(name: string, subject: Subject): void {
  const test = suite(`BlobStore: ${name}`);
  const MIB = 1024 * 1024;
  const withStore = (
    title: string,
    run: (store: BlobStore, again: () => Promise<BlobStore>) => Promise<void>,
  ): void => {
    test(title, async () => {
      const { store, again, remove } = await subject.open();
      try {
        await run(store, again);
      } finally {
        await remove();
      }
    });
  };

  withStore("has nothing at first", async (store) => {
    const { digest } = sample(10);
    assert.is(await store.stat(digest), undefined);
    assert.is(await store.readManifest(digest), undefined);
    assert.equal(await listAll(store), []);
    await store.delete(digest);
    const error = await refuses("not-found", () => readAll(store, digest, 0, 10));
    assert.not(error.retryable);
  });

  withStore("opens a blob to read here and there, also after it is deleted", async (store) => {
    const artifact = sample(3 * MIB, 5, MIB);
    assert.is(await store.open(artifact.digest), undefined);
    await putSample(store, artifact);
    const blob = await store.open(artifact.digest);
    assert.ok(blob);
    assert.is(blob.sizeBytes, artifact.bytes.length);
    await store.delete(artifact.digest);
    for (const [offset, length] of [
      [0, 7],
      [3 * MIB - 1, 10],
      [artifact.bytes.length - 1, 1],
    ] as const) {
      const into = Buffer.alloc(length + 3);
      await blob.readInto(offset, length, into);
      const expected = artifact.bytes.subarray(offset, offset + length);
      assert.ok(into.subarray(0, length).equals(expected));
      assert.equal([...into.subarray(length)], [0, 0, 0]);
    }
    const beyond = blob.readInto(artifact.bytes.length, 1, Buffer.alloc(1));
    await refuses("corrupt", () => beyond);
    await blob.close();
    await blob.close();
  });

  withStore("shows an artifact once it is committed, and not before", async (store, again) => {
    const artifact = sample(3 * MIB, 5, MIB, 1);
    const other = await again();
    const write = await store.beginPut(artifact.manifestBytes);
    assert.is(write.digest, artifact.digest);
    for (const index of [3, 0, 2]) await write.writeChunk(index, artifact.chunk(index));
    assert.is(write.bytesDone, 4 * MIB + 1);
    assert.equal(
      [0, 1, 2, 3].map((index) => write.has(index)),
      [true, false, true, true],
    );
    await refuses("invalid", () => write.commit());
    await write.writeChunk(1, artifact.chunk(1));
    assert.is(await other.stat(artifact.digest), undefined);
    assert.is(await other.readManifest(artifact.digest), undefined);
    assert.equal(await listAll(other), []);
    await write.commit();
    await write.commit();
    await write.close();
    await write.close();
    for (const each of [store, other, await again()]) {
      assert.equal(await each.stat(artifact.digest), { sizeBytes: artifact.bytes.length });
      assert.equal(await each.readManifest(artifact.digest), artifact.manifestBytes);
      assert.equal(await listAll(each), [artifact.digest]);
      assert.ok(
        (await readAll(each, artifact.digest, 0, artifact.bytes.length)).equals(artifact.bytes),
      );
    }
  });

  withStore("reads ranges", async (store) => {
    const artifact = sample(MIB, MIB, 100);
    await putSample(store, artifact);
    const size = artifact.bytes.length;
    const ranges = [
      [0, 1],
      [MIB - 1, 2],
      [size - 1, 1],
      [5, size - 5],
      [size, 0],
      [0, 0],
    ] as const;
    for (const [offset, length] of ranges) {
      const expected = artifact.bytes.subarray(offset, offset + length);
      assert.ok((await readAll(store, artifact.digest, offset, length)).equals(expected));
    }
    for (const [offset, length] of [
      [0, size + 1],
      [size, 1],
      [-1, 2],
      [0, -1],
      [0.5, 1],
    ] as const) {
      await refuses("invalid", () => readAll(store, artifact.digest, offset, length));
    }
    for await (const part of store.read(artifact.digest, 0, size)) {
      assert.ok(part.length <= MIB);
    }
  });

  withStore("ends a read when told", async (store) => {
    const artifact = sample(8 * MIB);
    await putSample(store, artifact);
    const controller = new AbortController();
    const reason = new Error("enough");
    let seen = 0;
    try {
      const { signal } = controller;
      for await (const part of store.read(artifact.digest, 0, 8 * MIB, { signal })) {
        seen += part.length;
        controller.abort(reason);
      }
      assert.unreachable();
    } catch (error) {
      assert.is(error, reason);
    }
    assert.ok(seen < 8 * MIB);
  });

  withStore("refuses wrong bytes and wrong chunks, and goes on", async (store) => {
    const artifact = sample(1000, 2000);
    const write = await store.beginPut(artifact.manifestBytes);
    await refuses("corrupt", () => write.writeChunk(0, randomBytes(1000)));
    await refuses("corrupt", () => write.writeChunk(0, artifact.chunk(0).subarray(1)));
    await refuses("corrupt", () => write.writeChunk(1, artifact.chunk(0)));
    await refuses("invalid", () => write.writeChunk(2, artifact.chunk(0)));
    await refuses("invalid", () => write.writeChunk(-1, artifact.chunk(0)));
    assert.is(write.bytesDone, 0);
    await write.writeChunk(0, artifact.chunk(0));
    await write.writeChunk(1, artifact.chunk(1));
    await write.writeChunk(1, artifact.chunk(1));
    await write.commit();
    await write.close();
    await verifyArtifact(store, artifact.digest);
  });

  withStore("goes on where a former put ended", async (store, again) => {
    const artifact = sample(MIB, MIB, MIB, 7);
    const first = await store.beginPut(artifact.manifestBytes);
    await first.writeChunk(0, artifact.chunk(0));
    await first.writeChunk(2, artifact.chunk(2));
    await first.close();
    await refuses("invalid", () => first.writeChunk(1, artifact.chunk(1)));
    await refuses("invalid", () => first.commit());
    const second = await (await again()).beginPut(artifact.manifestBytes);
    assert.is(second.bytesDone, 2 * MIB);
    assert.equal(
      [0, 1, 2, 3].map((index) => second.has(index)),
      [true, false, true, false],
    );
    await second.writeChunk(1, artifact.chunk(1));
    await second.writeChunk(3, artifact.chunk(3));
    await second.commit();
    await second.close();
    await verifyArtifact(store, artifact.digest);
  });

  withStore("takes several puts of one artifact at once", async (store, again) => {
    const artifact = sample(MIB, MIB, 3);
    const stores = [store, store, await again(), await again()];
    const writes = await Promise.all(stores.map((each) => each.beginPut(artifact.manifestBytes)));
    await Promise.all(
      writes.map(async (write) => {
        await Promise.all(artifact.chunks.map((chunk, index) => write.writeChunk(index, chunk)));
        await write.commit();
        await write.close();
      }),
    );
    await verifyArtifact(store, artifact.digest);
    assert.equal(await listAll(store), [artifact.digest]);
  });

  withStore("puts what is there already at no cost", async (store) => {
    const artifact = sample(1000, 1000);
    await putSample(store, artifact);
    const write = await store.beginPut(artifact.manifestBytes);
    assert.is(write.bytesDone, 2000);
    assert.ok(write.has(0) && write.has(1));
    await write.writeChunk(0, artifact.chunk(0));
    await write.commit();
    await write.close();
    await verifyArtifact(store, artifact.digest);
  });

  withStore("deletes, and takes the same artifact again", async (store) => {
    const [kept, gone] = [sample(100), sample(200)];
    await putSample(store, kept);
    await putSample(store, gone);
    await store.delete(gone.digest);
    await store.delete(gone.digest);
    assert.is(await store.stat(gone.digest), undefined);
    assert.equal(await listAll(store), [kept.digest]);
    await putSample(store, gone);
    assert.equal(await listAll(store), [kept.digest, gone.digest].sort());
    await verifyArtifact(store, kept.digest);
    await verifyArtifact(store, gone.digest);
  });

  withStore("refuses bad digests and manifests", async (store) => {
    const hex = "a".repeat(64);
    const bad = [
      "",
      hex,
      `sha256:${hex}/../x`,
      "sha256:../../etc/passwd",
      `sha256:${"A".repeat(64)}`,
    ];
    for (const digest of [...bad, `sha256:${hex}\n`, `sha512:${hex}`, `sha256:${hex}\0`]) {
      await refuses("invalid", () => store.stat(digest));
      await refuses("invalid", () => store.readManifest(digest));
      await refuses("invalid", () => store.delete(digest));
      await refuses("invalid", () => readAll(store, digest, 0, 1));
    }
    await refuses("invalid", () => store.beginPut(Buffer.from("no manifest")));
    await refuses("invalid", () => store.beginPut(Buffer.alloc(0)));
  });

  test("copies from store to store, and goes on after an interruption", async () => {
    const [source, target] = [await subject.open(), await subject.open()];
    try {
      const artifact = sample(...Array.from({ length: 24 }, () => MIB), 17);
      const size = artifact.bytes.length;
      await refuses("not-found", () => copyArtifact(source.store, target.store, artifact.digest));
      await putSample(source.store, artifact);
      const controller = new AbortController();
      const reason = new Error("stop here");
      try {
        await copyArtifact(source.store, target.store, artifact.digest, {
          signal: controller.signal,
          onProgress: ({ bytesDone, bytesTotal }) => {
            assert.is(bytesTotal, size);
            if (bytesDone > size / 3) controller.abort(reason);
          },
        });
        assert.unreachable();
      } catch (error) {
        assert.is(error, reason);
      }
      assert.is(await target.store.stat(artifact.digest), undefined);
      const seen: number[] = [];
      await copyArtifact(source.store, await target.again(), artifact.digest, {
        concurrency: 3,
        onProgress: ({ bytesDone }) => seen.push(bytesDone),
      });
      const [resumedAt = 0] = seen;
      assert.ok(resumedAt > size / 3 && resumedAt < size, `resumed at ${resumedAt}`);
      assert.is(seen.at(-1), size);
      await verifyArtifact(target.store, artifact.digest);
    } finally {
      await source.remove();
      await target.remove();
    }
  });

  test.run();
}
