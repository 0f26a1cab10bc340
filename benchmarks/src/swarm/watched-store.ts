import type { ArtifactStore } from "@slipway/agent/swarm";

type ArtifactWrite = Awaited<ReturnType<ArtifactStore["begin"]>>;

/** A store, and the chunks of one artifact that are not in it; undefined before that is begun. */
export function watching(
  inner: ArtifactStore,
  digest: string,
): {
  store: ArtifactStore;
  missing: () => number[] | undefined;
} {
  let write: ArtifactWrite | undefined;
  const store = new Proxy(inner, {
    get(target, name: keyof ArtifactStore) {
      if (name !== "begin") return target[name].bind(target);
      return async (manifestBytes: Uint8Array) => {
        const begun = await target.begin(manifestBytes);
        if (begun.digest === digest) write = begun;
        return begun;
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
