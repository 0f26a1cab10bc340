import { setTimeout as delay } from "node:timers/promises";
import { backOffMs } from "../back-off.js";
import type { Manifest } from "../store/manifest.js";
import type { BlobStore, BlobWrite } from "./blob-store.js";
import { BlobStoreError } from "./errors.js";

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

/** Chunks from first to last, both in it. */
export interface Range {
  first: number;
  last: number;
}

/** Puts the chunks of a range, and tells of each. */
export type PutRange = (
  write: BlobWrite,
  range: Range,
  signal: AbortSignal,
  progress: (index: number) => void,
) => Promise<void>;

/**
 * Puts what a store lacks of an artifact, several ranges at a time, and makes it visible. What fails
 * for the moment is tried again a few times.
 * @throws BlobStoreError, and whatever putting a range throws.
 */
export async function put(
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
