import { randomBytes } from "node:crypto";
import { type FileHandle, rename, rm, utimes } from "node:fs/promises";
import path from "node:path";
import type { ReadableArtifact } from "../swarm/types.js";
import { FILES } from "./artifact-files.js";
import { errorCode } from "./errors.js";
import { holdsChunk, readFully, statIfThere } from "./files.js";
import type { Manifest } from "./manifest.js";
import type { StoredArtifact } from "./types.js";

/** How what is being removed is named. */
export const TRASH = "trash-";

/** Removes an artifact; a crash leaves a name that starts with TRASH, and no half artifact. */
export async function removeDirectory(root: string, directory: string): Promise<void> {
  const trash = path.join(root, `${TRASH}${randomBytes(8).toString("hex")}`);
  try {
    await rename(directory, trash);
  } catch (error) {
    if (errorCode(error) === "ENOENT") return;
    throw error;
  }
  await rm(trash, { recursive: true, force: true });
}

/** Whether a complete artifact's file has all the right bytes. */
export async function isWhole(file: FileHandle, manifest: Manifest): Promise<boolean> {
  if ((await file.stat()).size !== manifest.sizeBytes) return false;
  const buffer = Buffer.allocUnsafe(manifest.largestChunkBytes);
  for (let index = 0; index < manifest.chunkCount; index++) {
    if (!(await holdsChunk(file, manifest, index, buffer))) return false;
  }
  return true;
}

/** An open artifact that calls `release` once it is closed. */
export function readable(
  file: FileHandle,
  manifest: Manifest,
  release: () => void,
): ReadableArtifact {
  let closing: Promise<void> | undefined;
  return {
    manifestBytes: manifest.bytes,
    sizeBytes: manifest.sizeBytes,
    read: (offset, length, into) => readFully(file, offset, length, into),
    close: () => {
      closing ??= file.close().finally(release);
      return closing;
    },
  };
}

/** What is in one directory of a store; undefined if it is gone. */
export async function describe(root: string, name: string): Promise<StoredArtifact | undefined> {
  const directory = path.join(root, name);
  const [whole, partial, own] = await Promise.all([
    statIfThere(path.join(directory, FILES.data)),
    statIfThere(path.join(directory, FILES.partial)),
    statIfThere(directory),
  ]);
  if (own?.isDirectory() !== true) return undefined;
  return {
    digest: `sha256:${name}`,
    complete: whole !== undefined,
    diskBytes: ((whole?.blocks ?? 0) + (partial?.blocks ?? 0)) * 512,
    usedAt: own.mtime,
  };
}

/** Notes that an artifact is used now. */
export async function touch(directory: string): Promise<void> {
  const now = new Date();
  await utimes(directory, now, now);
}
