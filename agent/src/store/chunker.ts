import { createHash } from "node:crypto";
import { type FileHandle, open, stat } from "node:fs/promises";
import { cutSizesFor, Cutter } from "./cutter.js";
import { ManifestError, encodeManifest } from "./manifest.js";

/** Read at once; the event loop waits for the hashing of so much, about 2 ms. */
const BLOCK_BYTES = 1024 * 1024;

export interface ChunkFileOptions {
  signal?: AbortSignal;
  /** Every chunk but the last has this size in bytes. Default: they are cut by their content. */
  chunkBytes?: number;
}

/**
 * Reads a file once and makes the manifest that names it. The manifest's bytes are the same for
 * the same content. Memory: 2 MiB, and the manifest. Throws ManifestError for an empty file, and
 * what reading throws.
 */
export async function chunkFile(path: string, options: ChunkFileOptions = {}): Promise<Buffer> {
  const { signal, chunkBytes } = options;
  const cutter = new Cutter(
    chunkBytes === undefined
      ? cutSizesFor((await stat(path)).size)
      : { min: chunkBytes, normal: chunkBytes, max: chunkBytes },
  );
  const content = createHash("sha256");
  const chunkSizes: number[] = [];
  const chunkHashes: Buffer[] = [];
  let hash = createHash("sha256");
  let size = 0;
  const endChunk = (): void => {
    chunkHashes.push(hash.digest());
    chunkSizes.push(size);
    hash = createHash("sha256");
    size = 0;
  };
  for await (const block of readBlocks(path, signal)) {
    content.update(block);
    for (let from = 0; from < block.length;) {
      const end = cutter.cut(block, from);
      const piece = block.subarray(from, end);
      hash.update(piece);
      size += piece.length;
      if (end !== undefined) endChunk();
      from += piece.length;
    }
  }
  if (size > 0) endChunk();
  if (chunkSizes.length === 0) throw new ManifestError("an artifact can't be empty");
  return encodeManifest({
    chunkSizes,
    chunkHashes: Buffer.concat(chunkHashes),
    contentHash: content.digest(),
  });
}

/** A file's bytes; while one block is used the next is read. A block is good until the next. */
async function* readBlocks(
  path: string,
  signal: AbortSignal | undefined,
): AsyncGenerator<Buffer, void, void> {
  const file = await open(path, "r");
  let reading: Promise<Buffer> | undefined;
  try {
    let used = Buffer.allocUnsafe(BLOCK_BYTES);
    let spare = Buffer.allocUnsafe(BLOCK_BYTES);
    reading = read(file, used);
    for (;;) {
      signal?.throwIfAborted();
      const block = await reading;
      if (block.length === 0) return;
      reading = read(file, spare);
      yield block;
      [used, spare] = [spare, used];
    }
  } finally {
    await Promise.allSettled([reading]);
    await file.close();
  }
}

async function read(file: FileHandle, into: Buffer): Promise<Buffer> {
  const { bytesRead } = await file.read(into, 0, into.length, null);
  return into.subarray(0, bytesRead);
}
