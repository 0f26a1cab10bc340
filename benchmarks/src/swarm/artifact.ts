import { randomBytes } from "node:crypto";
import { open, stat, writeFile } from "node:fs/promises";
import path from "node:path";
import { artifactDigest, chunkFile } from "@slipway/agent/swarm";

const MIB = 1024 * 1024;

/** A file to spread, and its manifest. */
export interface Artifact {
  file: string;
  manifest: string;
  digest: string;
  sizeBytes: number;
}

/** A file of random bytes, with its manifest. */
export async function makeArtifact(
  dir: string,
  sizeBytes: number,
  base = "artifact",
): Promise<Artifact> {
  const name = path.join(dir, base);
  const file = await open(name, "w");
  for (let written = 0; written < sizeBytes; written += MIB) {
    await file.write(randomBytes(Math.min(MIB, sizeBytes - written)));
  }
  await file.sync();
  await file.close();
  return describeArtifact(name);
}

/** Cuts a file into chunks, and puts its manifest beside it. */
export async function describeArtifact(file: string): Promise<Artifact> {
  const bytes = await chunkFile(file);
  const manifest = `${file}.manifest`;
  await writeFile(manifest, bytes);
  return { file, manifest, digest: artifactDigest(bytes), sizeBytes: (await stat(file)).size };
}
