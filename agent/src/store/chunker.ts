import { createHash } from "node:crypto";
import { open } from "node:fs/promises";
import { ManifestError, encodeManifest } from "./manifest.js";

/** Size of every chunk but the last, in bytes. */
const CHUNK_BYTES = 1024 * 1024;

export interface ChunkFileOptions {
  signal?: AbortSignal;
  /** Default: CHUNK_BYTES. */
  chunkBytes?: number;
}

/**
 * Reads a file once and makes the manifest that names it. The manifest's bytes are the same for
 * the same content. Memory: one chunk. Throws ManifestError for an empty file, and what reading
 * throws.
 */
export async function chunkFile(path: string, options: ChunkFileOptions = {}): Promise<Buffer> {
  const { signal, chunkBytes = CHUNK_BYTES } = options;
  const content = createHash("sha256");
  const chunkSizes: number[] = [];
  const chunkHashes: Buffer[] = [];
  const buffer = Buffer.allocUnsafe(chunkBytes);
  const file = await open(path, "r");
  try {
    for (let size = chunkBytes; size === chunkBytes;) {
      signal?.throwIfAborted();
      size = await fill(file, buffer);
      if (size === 0) break;
      const chunk = buffer.subarray(0, size);
      content.update(chunk);
      chunkHashes.push(createHash("sha256").update(chunk).digest());
      chunkSizes.push(size);
    }
  } finally {
    await file.close();
  }
  if (chunkSizes.length === 0) throw new ManifestError("an artifact can't be empty");
  return encodeManifest({
    chunkSizes,
    chunkHashes: Buffer.concat(chunkHashes),
    contentHash: content.digest(),
  });
}

/** Reads until the buffer is full or the file ends; returns the bytes read. */
async function fill(file: Awaited<ReturnType<typeof open>>, buffer: Buffer): Promise<number> {
  let filled = 0;
  while (filled < buffer.length) {
    const { bytesRead } = await file.read(buffer, filled, buffer.length - filled, null);
    if (bytesRead === 0) break;
    filled += bytesRead;
  }
  return filled;
}
