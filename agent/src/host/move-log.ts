import { fstatSync, ftruncateSync, readSync, writeSync } from "node:fs";
import { type FileHandle, open } from "node:fs/promises";

const BUFFER_BYTES = 1024 * 1024;
/** What is left is moved at one go when it is no more than this. */
const LAST_BYTES = 64 * 1024;

/**
 * Moves what a file has behind `offset` to another one, with what is appended to it meanwhile, and
 * empties it. Only what is appended between two system calls, the last ones, may be lost; and what
 * is beyond `maxBytes`, by a writer that is faster. Answers up to where bytes were moved.
 */
export async function moveOut(
  from: string,
  to: string,
  { offset, maxBytes }: { offset: number; maxBytes: number },
): Promise<number> {
  const source = await open(from, "r+");
  try {
    const target = await open(to, "w", 0o600);
    try {
      return await move(source, target, { offset, end: offset + maxBytes });
    } finally {
      await target.close();
    }
  } finally {
    await source.close();
  }
}

async function move(
  source: FileHandle,
  target: FileHandle,
  { offset, end }: { offset: number; end: number },
): Promise<number> {
  const buffer = Buffer.alloc(BUFFER_BYTES);
  let at = offset;
  for (;;) {
    const left = Math.min((await source.stat()).size, end) - at;
    if (left <= LAST_BYTES) break;
    const { bytesRead } = await source.read(buffer, 0, Math.min(left, buffer.length), at);
    await target.writeFile(buffer.subarray(0, bytesRead));
    at += bytesRead;
  }
  // Nobody else here has a turn from now on, and other processes hardly any.
  for (;;) {
    const left = Math.min(fstatSync(source.fd).size, end) - at;
    if (left <= 0) break;
    const bytes = readSync(source.fd, buffer, 0, Math.min(left, LAST_BYTES), at);
    if (bytes === 0) break;
    for (let done = 0; done < bytes;) done += writeSync(target.fd, buffer, done, bytes - done);
    at += bytes;
  }
  ftruncateSync(source.fd, 0);
  return at;
}
