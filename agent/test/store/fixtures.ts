import { createHash, randomBytes } from "node:crypto";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import path from "node:path";
import { type Manifest, decodeManifest, encodeManifest } from "../../src/store/manifest.js";

/** Random content with chunks of these sizes. */
export function makeArtifact(chunkSizes: readonly number[]): {
  content: Buffer;
  manifest: Manifest;
} {
  const content = randomBytes(chunkSizes.reduce((sum, size) => sum + size, 0));
  let offset = 0;
  const hashes = chunkSizes.map((size) => {
    const chunk = content.subarray(offset, offset + size);
    offset += size;
    return createHash("sha256").update(chunk).digest();
  });
  const manifest = decodeManifest(
    encodeManifest({
      chunkSizes,
      chunkHashes: Buffer.concat(hashes),
      contentHash: createHash("sha256").update(content).digest(),
    }),
  );
  return { content, manifest };
}

export function chunkOf(content: Buffer, manifest: Manifest, index: number): Buffer {
  const offset = manifest.offset(index);
  return content.subarray(offset, offset + manifest.sizeOf(index));
}

/** A directory for one test, and its removal. */
export async function temporaryDirectory(): Promise<{ dir: string; remove: () => Promise<void> }> {
  const dir = await mkdtemp(path.join(tmpdir(), "slipway-test-"));
  return { dir, remove: () => rm(dir, { recursive: true, force: true }) };
}
