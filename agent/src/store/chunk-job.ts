import { createHash } from "node:crypto";
import { readSync, writeSync } from "node:fs";

/** Bytes in an open file. */
interface FilePlace {
  fd: number;
  position: number;
  length: number;
}

/** A chunk to verify and to write; everything in it may be handed to another thread. */
export interface ChunkJob {
  /** SHA-256 that the bytes must have. */
  hash: Uint8Array;
  bytes: Uint8Array | FilePlace;
  /** Where they go: an open file, and an offset in it. */
  fd: number;
  position: number;
  /** What is appended to the file of the descriptor `log` once the bytes are written. */
  log: number;
  entry: Uint8Array;
}

/** Whether the bytes were the right ones, and so were written. Throws what writing throws. */
export function runChunkJob(job: ChunkJob): boolean {
  const { hash, fd, position, log, entry } = job;
  const bytes = job.bytes instanceof Uint8Array ? job.bytes : readPlace(job.bytes);
  if (bytes === undefined) return false;
  if (!createHash("sha256").update(bytes).digest().equals(hash)) return false;
  writeAll(fd, bytes, position);
  writeAll(log, entry, null);
  return true;
}

let scratch: Buffer = Buffer.alloc(0);

/** Undefined if the file does not have them, or they can't be read: then they are not there. */
function readPlace({ fd, position, length }: FilePlace): Buffer | undefined {
  if (scratch.length < length) scratch = Buffer.allocUnsafeSlow(length);
  try {
    for (let done = 0; done < length;) {
      const bytesRead = readSync(fd, scratch, done, length - done, position + done);
      if (bytesRead === 0) return undefined;
      done += bytesRead;
    }
  } catch {
    return undefined;
  }
  return scratch.subarray(0, length);
}

function writeAll(fd: number, bytes: Uint8Array, position: number | null): void {
  for (let done = 0; done < bytes.byteLength;) {
    const at = position === null ? null : position + done;
    done += writeSync(fd, bytes, done, bytes.byteLength - done, at);
  }
}
