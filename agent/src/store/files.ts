import { subtle } from "node:crypto";
import type { Stats } from "node:fs";
import { type FileHandle, open, readFile, stat } from "node:fs/promises";
import { errorCode, fileError } from "./errors.js";
import type { Manifest } from "./manifest.js";

/** Fills the first `length` bytes of `into` from `offset` on, or throws. */
export async function readFully(
  file: FileHandle,
  offset: number,
  length: number,
  into: Buffer,
): Promise<void> {
  for (let done = 0; done < length;) {
    const { bytesRead } = await file.read(into, done, length - done, offset + done);
    if (bytesRead === 0) throw new Error(`the file ends at ${offset + done}`);
    done += bytesRead;
  }
}

/**
 * Whether a file that is long enough has a chunk's right bytes; `into` takes the largest chunk. It is
 * read and hashed by the process's helper threads: this one goes on meanwhile.
 */
export async function holdsChunk(
  file: FileHandle,
  manifest: Manifest,
  index: number,
  into: Buffer,
): Promise<boolean> {
  const chunk = into.subarray(0, manifest.sizeOf(index));
  try {
    await readFully(file, manifest.offset(index), chunk.length, chunk);
  } catch (error) {
    // The disk has lost these bytes; others it may still have.
    if (errorCode(error) === "EIO") return false;
    throw error;
  }
  return manifest.hash(index).equals(Buffer.from(await subtle.digest("SHA-256", chunk)));
}

/** Writes all bytes at `offset`, or throws. */
export async function writeFully(
  file: FileHandle,
  offset: number,
  bytes: Uint8Array,
): Promise<void> {
  for (let done = 0; done < bytes.byteLength;) {
    const { bytesWritten } = await file.write(bytes, done, bytes.byteLength - done, offset + done);
    done += bytesWritten;
  }
}

/** Makes new names, renames and removals in a directory durable. */
export async function syncDirectory(path: string): Promise<void> {
  const directory = await open(path, "r");
  try {
    await directory.sync();
  } finally {
    await directory.close();
  }
}

/** A whole file, or undefined if it does not exist. @throws NotAFileError for a directory. */
export async function readIfThere(path: string): Promise<Buffer | undefined> {
  try {
    return await readFile(path);
  } catch (error) {
    if (isMissing(error)) return undefined;
    throw fileError(error, path);
  }
}

/** Opens a file to read, or returns undefined if it does not exist. */
export async function openIfThere(file: string): Promise<FileHandle | undefined> {
  try {
    return await open(file, "r");
  } catch (error) {
    if (isMissing(error)) return undefined;
    throw error;
  }
}

/** What a file is, or undefined if it does not exist. */
export async function statIfThere(file: string): Promise<Stats | undefined> {
  try {
    return await stat(file);
  } catch (error) {
    if (isMissing(error)) return undefined;
    throw error;
  }
}

/** Also where something else than a directory is in the way. */
function isMissing(error: unknown): boolean {
  return ["ENOENT", "ENOTDIR"].includes(errorCode(error) ?? "");
}
