import type { Manifest } from "../store/manifest.js";

/**
 * Cuts what is read of an artifact, from the start of its chunk `first` on, into chunks. Their bytes
 * are good until the next one is asked for; a chunk at the end that is not whole is left out.
 */
export async function* chunksOf(
  manifest: Manifest,
  first: number,
  parts: AsyncIterable<Buffer>,
): AsyncGenerator<{ index: number; bytes: Buffer }, void, void> {
  const buffer = Buffer.allocUnsafe(manifest.largestChunkBytes);
  let index = first;
  let filled = 0;
  for await (const part of parts) {
    for (let used = 0; used < part.length && index < manifest.chunkCount;) {
      const size = manifest.sizeOf(index);
      const copied = part.copy(buffer, filled, used, used + size - filled);
      used += copied;
      filled += copied;
      if (filled < size) continue;
      yield { index, bytes: buffer.subarray(0, size) };
      index += 1;
      filled = 0;
    }
  }
}
