import { createHash } from "node:crypto";
import { writeSync } from "node:fs";

/** A chunk to verify and to write; everything in it may be handed to another thread. */
export interface ChunkJob {
  /** SHA-256 that the bytes must have. */
  hash: Uint8Array;
  bytes: Uint8Array;
  /** Where they go: an open file, and an offset in it. */
  fd: number;
  position: number;
  /** What is appended to the file of the descriptor `log` once the bytes are written. */
  log: number;
  entry: Uint8Array;
}

/** Whether the bytes were the right ones, and so were written. Throws what writing throws. */
export function runChunkJob(job: ChunkJob): boolean {
  const { hash, bytes, fd, position, log, entry } = job;
  if (!createHash("sha256").update(bytes).digest().equals(hash)) return false;
  writeAll(fd, bytes, position);
  writeAll(log, entry, null);
  return true;
}

function writeAll(fd: number, bytes: Uint8Array, position: number | null): void {
  for (let done = 0; done < bytes.byteLength;) {
    const at = position === null ? null : position + done;
    done += writeSync(fd, bytes, done, bytes.byteLength - done, at);
  }
}
