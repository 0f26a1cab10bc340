import type { BlobStore } from "../blob/index.js";
import type { ArtifactSource, ReadableArtifact } from "../swarm/index.js";

/** Lets the swarm seed what a blob store holds. */
export function blobSource(store: BlobStore): ArtifactSource {
  return {
    async open(digest: string): Promise<ReadableArtifact | undefined> {
      const blob = await store.open(digest);
      if (blob === undefined) return undefined;
      try {
        const manifestBytes = await store.readManifest(digest);
        if (manifestBytes !== undefined) {
          return {
            manifestBytes,
            sizeBytes: blob.sizeBytes,
            read: (offset, length, into) => blob.readInto(offset, length, into),
            close: () => blob.close(),
          };
        }
      } catch (error) {
        await blob.close();
        throw error;
      }
      await blob.close();
      return undefined;
    },
  };
}
