import type { FileHandle } from "node:fs/promises";
import path from "node:path";
import { FILES } from "./artifact-files.js";
import { Bitfield, bitfieldBytes } from "./bitfield.js";
import { holdsChunk, readIfThere } from "./files.js";
import type { Manifest } from "./manifest.js";

/** Of `recent`, in bytes: a chunk's number, big-endian. */
export const RECENT_ENTRY_BYTES = 4;

/**
 * The chunks of an unfinished artifact that are really here: those claimed whose bytes are right,
 * and with trust all that are claimed.
 */
export async function readHere(
  directory: string,
  manifest: Manifest,
  data: FileHandle,
  trusted: boolean,
): Promise<Bitfield> {
  const claimed = await readHave(directory, manifest);
  const recent = await readRecent(directory, manifest);
  return recheck(data, manifest, claimed, { recent, trusted });
}

/** The chunks of an unfinished artifact that are said to be here: what is read must be verified. */
export async function readClaims(directory: string, manifest: Manifest): Promise<Bitfield> {
  const claimed = await readHave(directory, manifest);
  for (const index of await readRecent(directory, manifest)) claimed.set(index);
  return claimed;
}

async function readHave(directory: string, manifest: Manifest): Promise<Bitfield> {
  const bytes = await readIfThere(path.join(directory, FILES.have));
  if (bytes?.length !== bitfieldBytes(manifest.chunkCount))
    return new Bitfield(manifest.chunkCount);
  try {
    return new Bitfield(manifest.chunkCount, bytes);
  } catch (error) {
    if (error instanceof RangeError) return new Bitfield(manifest.chunkCount);
    throw error;
  }
}

async function readRecent(directory: string, manifest: Manifest): Promise<number[]> {
  const bytes = (await readIfThere(path.join(directory, FILES.recent))) ?? Buffer.alloc(0);
  const recent = new Set<number>();
  for (let at = 0; at + RECENT_ENTRY_BYTES <= bytes.length; at += RECENT_ENTRY_BYTES) {
    const index = bytes.readUInt32BE(at);
    if (index < manifest.chunkCount) recent.add(index);
  }
  return [...recent];
}

async function recheck(
  data: FileHandle,
  manifest: Manifest,
  claimed: Bitfield,
  { recent, trusted }: { recent: readonly number[]; trusted: boolean },
): Promise<Bitfield> {
  const { size } = await data.stat();
  const end = (index: number): number => manifest.offset(index) + manifest.sizeOf(index);
  const indexes = setBits(claimed);
  // A file that somebody cut: nothing that is said of it can be trusted.
  const believed = trusted && indexes.every((index) => end(index) <= size);
  const have = believed ? claimed : new Bitfield(claimed.size);
  const buffer = Buffer.allocUnsafe(manifest.largestChunkBytes);
  for (const index of believed ? recent : [...indexes, ...recent]) {
    if (have.has(index) || end(index) > size) continue;
    if (await holdsChunk(data, manifest, index, buffer)) have.set(index);
  }
  return have;
}

function setBits(bits: Bitfield): number[] {
  return Array.from({ length: bits.size }, (_, index) => index).filter((index) => bits.has(index));
}
