import { open, readFile } from "node:fs/promises";
import type { ArtifactSource } from "@slipway/agent/swarm";

/** A file that is shared, and how. */
export interface Seed {
  file: string;
  manifest: string;
  manner?: Manner;
}

/**
 * What is wrong with who shares: "liar" gets one bit of every hundredth chunk wrong, from the first
 * one on; "silent" takes requests and never answers.
 */
export type Manner = "liar" | "silent";

const LIE_EVERY = 100;

/** One file as a source of artifacts. */
export async function fileSource(digest: string, seed: Seed): Promise<ArtifactSource> {
  const manifestBytes = await readFile(seed.manifest);
  const file = await open(seed.file);
  const { size: sizeBytes } = await file.stat();
  let reads = 0;
  const read = async (offset: number, length: number, into: Buffer): Promise<void> => {
    if (seed.manner === "silent") return new Promise(() => {});
    const { bytesRead } = await file.read(into, 0, length, offset);
    if (bytesRead !== length) throw new Error(`short read at ${offset}`);
    if (seed.manner === "liar" && reads++ % LIE_EVERY === 0) into[0] = (into[0] ?? 0) ^ 1;
  };
  const artifact = { manifestBytes, sizeBytes, read, close: () => Promise.resolve() };
  return { open: (asked) => Promise.resolve(asked === digest ? artifact : undefined) };
}
