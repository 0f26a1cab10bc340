import { execFile } from "node:child_process";
import { mkdir, readdir, rm, stat } from "node:fs/promises";
import path from "node:path";
import { promisify } from "node:util";

const run = promisify(execFile);
const TIMEOUT_MS = 300_000;

/** Least, average and most bytes of a chunk; its own unless told. */
export type ChunkSize = `${number}:${number}:${number}`;

/**
 * Bytes that casync (Debian's package) would move from the build `before` to `after`: its chunks of
 * the second that the first does not have, compressed as it keeps them. Undefined without casync.
 */
export async function casyncMovedBytes(
  dir: string,
  before: string,
  after: string,
  chunkSize?: ChunkSize,
): Promise<number | undefined> {
  const own = path.join(dir, "casync");
  await mkdir(own);
  try {
    const old = await chunksOf(path.join(own, "before"), before, chunkSize);
    if (old === undefined) return undefined;
    const now = (await chunksOf(path.join(own, "after"), after, chunkSize)) ?? new Map();
    let moved = 0;
    for (const [name, bytes] of now) if (!old.has(name)) moved += bytes;
    return moved;
  } finally {
    await rm(own, { recursive: true });
  }
}

/** Chunk's name → its bytes in the store. */
async function chunksOf(
  store: string,
  file: string,
  chunkSize: ChunkSize | undefined,
): Promise<Map<string, number> | undefined> {
  const size = chunkSize === undefined ? [] : [`--chunk-size=${chunkSize}`];
  try {
    const args = ["make", ...size, `--store=${store}`, `${store}.caibx`, file];
    await run("casync", args, { timeout: TIMEOUT_MS });
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === "ENOENT") return undefined;
    throw error;
  }
  const chunks = new Map<string, number>();
  for (const name of await readdir(store, { recursive: true })) {
    const found = await stat(path.join(store, name));
    if (found.isFile()) chunks.set(name, found.size);
  }
  return chunks;
}
