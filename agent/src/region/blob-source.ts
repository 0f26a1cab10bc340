import type { BlobStore } from "../blob/index.js";
import type { ArtifactSource, ReadableArtifact } from "../swarm/index.js";

/** Lets the swarm seed what a blob store holds. */
export function blobSource(store: BlobStore): ArtifactSource {
  return {
    async open(digest: string): Promise<ReadableArtifact | undefined> {
      const [found, manifestBytes] = await Promise.all([
        store.stat(digest),
        store.readManifest(digest),
      ]);
      if (found === undefined || manifestBytes === undefined) return undefined;
      return {
        manifestBytes,
        sizeBytes: found.sizeBytes,
        read: async (offset, length, into) => {
          let filled = 0;
          for await (const part of store.read(digest, offset, length)) {
            filled += part.copy(into, filled);
          }
          if (filled !== length) throw new Error(`${digest} ends before ${offset + length}`);
        },
        close: () => Promise.resolve(),
      };
    },
  };
}
