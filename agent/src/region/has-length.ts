import type { BlobStore } from "../blob/index.js";
import { decodeManifest, ManifestError } from "../store/manifest.js";

/** Whether the blob is as long as its manifest, which must be readable, says. */
export async function hasLength(
  store: BlobStore,
  digest: string,
  sizeBytes: number,
): Promise<boolean> {
  const bytes = await store.readManifest(digest);
  // Deleted at this moment: the next look notices.
  if (bytes === undefined) return true;
  try {
    return decodeManifest(bytes, digest).sizeBytes === sizeBytes;
  } catch (error) {
    if (error instanceof ManifestError) return false;
    throw error;
  }
}
