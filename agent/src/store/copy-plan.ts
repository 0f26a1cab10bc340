import type { Bitfield } from "./bitfield.js";
import type { Manifest } from "./manifest.js";

/** Finds, by their hashes, which of an artifact's missing chunks others have. */
export class CopyPlan {
  /** Hash → missing chunks that have it and that nobody is known to have, in order. */
  readonly #missing = new Map<string, number[]>();

  constructor(manifest: Manifest, have: Bitfield) {
    for (let chunk = 0; chunk < manifest.chunkCount; chunk++) {
      if (have.has(chunk)) continue;
      const hash = key(manifest, chunk);
      const same = this.#missing.get(hash);
      if (same === undefined) this.#missing.set(hash, [chunk]);
      else same.push(chunk);
    }
  }

  /** Nothing is left to look for. */
  get complete(): boolean {
    return this.#missing.size === 0;
  }

  /** Missing chunk → the chunk of this source that has its bytes; they are not looked for again. */
  take(source: Manifest, has: (chunk: number) => boolean): Map<number, number> {
    const found = new Map<number, number>();
    for (let at = 0; at < source.chunkCount && !this.complete; at++) {
      const hash = key(source, at);
      const chunks = this.#missing.get(hash);
      if (chunks === undefined || !has(at)) continue;
      this.#missing.delete(hash);
      for (const chunk of chunks) found.set(chunk, at);
    }
    return found;
  }

  /** Of the rest: chunk → later ones with the same bytes. */
  twins(): Map<number, number[]> {
    const twins = new Map<number, number[]>();
    for (const [first, ...others] of this.#missing.values()) {
      if (first !== undefined && others.length > 0) twins.set(first, others);
    }
    return twins;
  }
}

const key = (manifest: Manifest, chunk: number): string => manifest.hash(chunk).toString("latin1");
