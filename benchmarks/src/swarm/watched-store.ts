import type { ArtifactStore } from "@slipway/agent/swarm";

type ArtifactWrite = Awaited<ReturnType<ArtifactStore["begin"]>>;

/** A store, and the chunks that are not in it of the artifact that was begun last. */
export function watching(inner: ArtifactStore): {
  store: ArtifactStore;
  missing: () => number[] | undefined;
} {
  let write: ArtifactWrite | undefined;
  const store = new Proxy(inner, {
    get(target, name: keyof ArtifactStore) {
      if (name !== "begin") return target[name].bind(target);
      return async (manifestBytes: Uint8Array) => {
        write = await target.begin(manifestBytes);
        return write;
      };
    },
  });
  const missing = (): number[] | undefined => {
    if (write === undefined) return undefined;
    const { have } = write;
    return [...Array(have.size).keys()].filter((chunk) => !have.has(chunk));
  };
  return { store, missing };
}
