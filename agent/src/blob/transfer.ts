import { open, type FileHandle } from "node:fs/promises";
import { readFully } from "../store/files.js";
import { decodeManifest, type Manifest } from "../store/manifest.js";
import type { BlobStore, BlobWrite } from "./blob-store.js";
import { chunksOf } from "./chunks-of.js";
import { BlobStoreError, fromSystemError } from "./errors.js";
import { put, type Range, type TransferOptions } from "./put.js";

/**
 * Copies an artifact from one store to another, several ranges at a time, every chunk verified on
 * its way; goes on where a former copy ended. What fails for the moment is tried again a few times.
 * @throws BlobStoreError: `not-found` or `corrupt` for the source, any for the target.
 */
export async function copyArtifact(
  from: BlobStore,
  to: BlobStore,
  digest: string,
  options: TransferOptions = {},
): Promise<void> {
  const manifest = await readVerifiedManifest(from, digest);
  await put(to, manifest, options, async (write, range, signal, progress) => {
    let missing = range.first;
    const offset = manifest.offset(range.first);
    const parts = from.read(digest, offset, rangeBytes(manifest, range), { signal });
    for await (const { index, bytes } of chunksOf(manifest, range.first, parts)) {
      await write.writeChunk(index, bytes);
      progress(index);
      missing = index + 1;
    }
    if (missing <= range.last) {
      throw new BlobStoreError("corrupt", `the source of ${digest} ended before chunk ${missing}`);
    }
  });
}

/**
 * Puts a file into a store under the manifest that chunkFile made of it. Every chunk is verified as
 * it is read again, so that a file which changed in between is never stored. An artifact that the
 * store has already is verified too, and replaced if it is damaged.
 * @throws BlobStoreError: `corrupt` if the file is not what the manifest says.
 */
export async function putFile(
  store: BlobStore,
  file: string,
  manifestBytes: Uint8Array,
  options: TransferOptions = {},
): Promise<void> {
  const manifest = decodeManifest(manifestBytes);
  const handle = await open(file, "r").catch((error: unknown) => {
    throw fromSystemError(`read ${file}`, error);
  });
  try {
    await removeDamaged(store, manifest.digest, options.signal);
    await put(store, manifest, options, (write, range, signal, progress) =>
      putRange(write, handle, range, signal, progress).catch((error: unknown) => {
        if (!(error instanceof BlobStoreError) || error.reason !== "corrupt") throw error;
        throw new BlobStoreError("corrupt", `${file} changed while it was stored`, {
          cause: error,
        });
      }),
    );
  } finally {
    await handle.close();
  }
}

/**
 * Reads all of an artifact in a store and checks every chunk.
 * @throws BlobStoreError: `not-found`, or `corrupt` with the first chunk that is bad.
 */
export async function verifyArtifact(
  store: BlobStore,
  digest: string,
  { signal }: { signal?: AbortSignal | undefined } = {},
): Promise<void> {
  const manifest = await readVerifiedManifest(store, digest);
  let verified = 0;
  const parts = store.read(digest, 0, manifest.sizeBytes, { signal });
  for await (const { index, bytes } of chunksOf(manifest, 0, parts)) {
    if (!manifest.verify(index, bytes)) {
      throw new BlobStoreError("corrupt", `chunk ${index} of ${digest} is damaged`);
    }
    verified += 1;
  }
  const { sizeBytes } = (await store.stat(digest)) ?? { sizeBytes: -1 };
  if (verified < manifest.chunkCount || sizeBytes !== manifest.sizeBytes) {
    throw new BlobStoreError(
      "corrupt",
      `${digest} has ${sizeBytes} of ${manifest.sizeBytes} bytes`,
    );
  }
}

async function removeDamaged(
  store: BlobStore,
  digest: string,
  signal: AbortSignal | undefined,
): Promise<void> {
  if ((await store.stat(digest)) === undefined) return;
  try {
    await verifyArtifact(store, digest, { signal });
  } catch (error) {
    if (!(error instanceof BlobStoreError)) throw error;
    if (error.reason === "corrupt") await store.delete(digest);
    else if (error.reason !== "not-found") throw error;
  }
}

async function putRange(
  write: BlobWrite,
  file: FileHandle,
  range: Range,
  signal: AbortSignal,
  progress: (index: number) => void,
): Promise<void> {
  const { manifest } = write;
  for (let index = range.first; index <= range.last; index++) {
    signal.throwIfAborted();
    const chunk = Buffer.allocUnsafe(manifest.sizeOf(index));
    try {
      await readFully(file, manifest.offset(index), chunk.length, chunk);
    } catch (error) {
      throw new BlobStoreError("corrupt", `cannot read chunk ${index}`, { cause: error });
    }
    await write.writeChunk(index, chunk);
    progress(index);
  }
}

function rangeBytes(manifest: Manifest, { first, last }: Range): number {
  return manifest.offset(last) + manifest.sizeOf(last) - manifest.offset(first);
}

async function readVerifiedManifest(store: BlobStore, digest: string): Promise<Manifest> {
  const bytes = await store.readManifest(digest);
  if (bytes === undefined) throw new BlobStoreError("not-found", `no artifact ${digest}`);
  try {
    return decodeManifest(bytes, digest);
  } catch (error) {
    const message = `the manifest of ${digest} is damaged`;
    throw new BlobStoreError("corrupt", message, { cause: error });
  }
}
