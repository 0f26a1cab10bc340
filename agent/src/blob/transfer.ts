import { open, type FileHandle } from "node:fs/promises";
import { setTimeout as delay } from "node:timers/promises";
import { backOffMs } from "../back-off.js";
import { readFully } from "../store/files.js";
import { decodeManifest, type Manifest } from "../store/manifest.js";
import type { BlobStore, BlobWrite } from "./blob-store.js";
import { BlobStoreError, fromSystemError } from "./errors.js";

/** Consecutive chunks are read in one range of about this size, in bytes. */
const RANGE_BYTES = 8 * 1024 * 1024;
const DEFAULT_CONCURRENCY = 4;
/** How often one range is tried, and one commit. */
const ATTEMPTS = 4;
const BACK_OFF = { baseMs: 200, maxMs: 5000 };

export interface TransferProgress {
  /** Bytes that are in the store and verified, resumed ones with them. */
  bytesDone: number;
  bytesTotal: number;
}

/** Follows a put as its chunks come in. */
export interface TransferFollower {
  /** A chunk is there, and can be read from the put. */
  chunk(index: number): void;
  /** The put has ended: what it has can be read from it no more. */
  end(): void;
}

export interface TransferOptions {
  /** Ends the transfer, which throws the signal's reason; what is verified stays for a later one. */
  signal?: AbortSignal | undefined;
  /** Called once at the start and after every chunk. */
  onProgress?: ((progress: TransferProgress) => void) | undefined;
  /** Called once the put has begun, with what an earlier one left behind, unless it is there. */
  follow?: ((write: BlobWrite) => TransferFollower) | undefined;
  /** How many ranges are on their way at a time. Default 4. Memory: this many chunks. */
  concurrency?: number | undefined;
}

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
    let index = range.first;
    let chunk = Buffer.allocUnsafe(manifest.sizeOf(index));
    let filled = 0;
    const offset = manifest.offset(range.first);
    for await (const part of from.read(digest, offset, rangeBytes(manifest, range), { signal })) {
      for (let used = 0; used < part.length;) {
        const copied = part.copy(chunk, filled, used);
        used += copied;
        filled += copied;
        if (filled < chunk.length) continue;
        await write.writeChunk(index, chunk);
        progress(index);
        index += 1;
        filled = 0;
        const next = index <= range.last ? manifest.sizeOf(index) : 0;
        if (next !== chunk.length) chunk = Buffer.allocUnsafe(next);
      }
    }
    if (index <= range.last) {
      throw new BlobStoreError("corrupt", `the source of ${digest} ended before chunk ${index}`);
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
  const buffer = Buffer.allocUnsafe(manifest.largestChunkBytes);
  let index = 0;
  let filled = 0;
  for await (const part of store.read(digest, 0, manifest.sizeBytes, { signal })) {
    for (let used = 0; used < part.length;) {
      const size = manifest.sizeOf(index);
      const copied = part.copy(buffer, filled, used, used + Math.min(part.length, size - filled));
      used += copied;
      filled += copied;
      if (filled < size) continue;
      if (!manifest.verify(index, buffer.subarray(0, size))) {
        throw new BlobStoreError("corrupt", `chunk ${index} of ${digest} is damaged`);
      }
      index += 1;
      filled = 0;
    }
  }
  const { sizeBytes } = (await store.stat(digest)) ?? { sizeBytes: -1 };
  if (index < manifest.chunkCount || sizeBytes !== manifest.sizeBytes) {
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

/** Chunks from first to last, both in it. */
interface Range {
  first: number;
  last: number;
}

type PutRange = (
  write: BlobWrite,
  range: Range,
  signal: AbortSignal,
  progress: (index: number) => void,
) => Promise<void>;

async function put(
  store: BlobStore,
  manifest: Manifest,
  { signal, onProgress, follow, concurrency = DEFAULT_CONCURRENCY }: TransferOptions,
  putOne: PutRange,
): Promise<void> {
  signal?.throwIfAborted();
  const write = await store.beginPut(manifest.bytes);
  const follower = write.have.full ? undefined : follow?.(write);
  const progress = (index?: number): void => {
    if (index !== undefined) follower?.chunk(index);
    onProgress?.({ bytesDone: write.bytesDone, bytesTotal: manifest.sizeBytes });
  };
  // The first range that fails for good ends the others.
  const ending = new AbortController();
  const ended = ending.signal;
  const abort = (): void => ending.abort(signal?.reason);
  signal?.addEventListener("abort", abort, { once: true });
  if (signal?.aborted === true) abort();
  try {
    progress();
    const ranges = missingRanges(write);
    const work = async (): Promise<void> => {
      for (const range of ranges) {
        await retry(ended, () => putMissing(write, range, ended, progress, putOne));
      }
    };
    const workers = Array.from({ length: Math.max(1, concurrency) }, () =>
      work().catch((error: unknown) => {
        ending.abort(error);
        throw error;
      }),
    );
    const results = await Promise.allSettled(workers);
    signal?.throwIfAborted();
    const failed = results.find((result) => result.status === "rejected");
    if (failed !== undefined) throw ended.reason;
    await retry(ended, () => write.commit());
  } finally {
    signal?.removeEventListener("abort", abort);
    follower?.end();
    await write.close();
  }
}

/** One range, without the chunks at its start that an earlier try has put. */
async function putMissing(
  write: BlobWrite,
  range: Range,
  signal: AbortSignal,
  progress: (index: number) => void,
  putOne: PutRange,
): Promise<void> {
  let { first } = range;
  while (first <= range.last && write.has(first)) first += 1;
  if (first > range.last) return;
  signal.throwIfAborted();
  await putOne(write, { first, last: range.last }, signal, progress);
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

/** Each range of missing chunks once, whoever asks; made as they are asked for. */
function* missingRanges(write: BlobWrite): Generator<Range, void, void> {
  const { manifest } = write;
  for (let first = 0; first < manifest.chunkCount;) {
    if (write.has(first)) {
      first += 1;
      continue;
    }
    let last = first;
    const start = manifest.offset(first);
    while (
      last + 1 < manifest.chunkCount &&
      !write.has(last + 1) &&
      manifest.offset(last + 1) + manifest.sizeOf(last + 1) - start <= RANGE_BYTES
    ) {
      last += 1;
    }
    yield { first, last };
    first = last + 1;
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

async function retry(signal: AbortSignal, action: () => Promise<void>): Promise<void> {
  for (let attempt = 0; ; attempt++) {
    try {
      await action();
      return;
    } catch (error) {
      signal.throwIfAborted();
      const retryable = error instanceof BlobStoreError && error.retryable;
      if (!retryable || attempt + 1 >= ATTEMPTS) throw error;
      await delay(backOffMs(attempt, BACK_OFF), undefined, { signal }).catch(() =>
        signal.throwIfAborted(),
      );
    }
  }
}
