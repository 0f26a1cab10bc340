import { open, readFile } from "node:fs/promises";
import type { ArtifactSource, ReadableArtifact } from "@slipway/agent/swarm";

/** A file that is shared, and how. */
export interface Seed {
  digest: string;
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

/** Files as a source of artifacts. */
export async function fileSource(seeds: readonly Seed[]): Promise<ArtifactSource> {
  const artifacts = new Map<string, ReadableArtifact>();
  for (const seed of seeds) artifacts.set(seed.digest, await openSeed(seed));
  return { open: (asked) => Promise.resolve(artifacts.get(asked)) };
}

async function openSeed(seed: Seed): Promise<ReadableArtifact> {
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
  return { manifestBytes, sizeBytes, read, close: () => Promise.resolve() };
}
