import type { FileHandle } from "node:fs/promises";
import { CopyPlan } from "./copy-plan.js";
import type { Manifest } from "./manifest.js";
import type { LocalCopies } from "./types.js";
import type { Bitfield } from "./bitfield.js";

/** An artifact of this store, held open to copy chunks from. */
export interface CopySource {
  readonly manifest: Manifest;
  readonly complete: boolean;
  readonly file: FileHandle;
  has(chunk: number): boolean;
  close(): Promise<void>;
}

/** What chunks are copied into. */
export interface CopyTarget {
  readonly manifest: Manifest;
  readonly have: Bitfield;
  /** Its own data, to copy what occurs more than once. */
  readonly file: FileHandle;
  /** Copies, if the bytes there are the chunk's. */
  copy(chunk: number, from: FileHandle, position: number): Promise<boolean>;
}

interface Place {
  source: CopySource;
  chunk: number;
}

/** Looks through sources, as many as there are, for the chunks that the target lacks. */
export async function findCopies(
  target: CopyTarget,
  sources: AsyncIterable<CopySource>,
  onDamaged: (digest: string) => void,
): Promise<LocalCopies> {
  const places = new Map<number, Place>();
  const used = new Set<CopySource>();
  const plan = new CopyPlan(target.manifest, target.have);
  const own = plan.take(target.manifest, (chunk) => target.have.has(chunk));
  if (!plan.complete) {
    for await (const source of sources) {
      const found = plan.take(source.manifest, (chunk) => source.has(chunk));
      if (found.size > 0) used.add(source);
      else await source.close();
      for (const [chunk, at] of found) places.set(chunk, { source, chunk: at });
      if (plan.complete) break;
    }
  }
  return new DirectoryCopies(target, { places, own, twins: plan.twins() }, used, onDamaged);
}

class DirectoryCopies implements LocalCopies {
  readonly chunks: readonly number[];
  readonly twins: ReadonlyMap<number, readonly number[]>;
  readonly #target: CopyTarget;
  readonly #places: ReadonlyMap<number, Place>;
  readonly #own: ReadonlyMap<number, number>;
  readonly #used: ReadonlySet<CopySource>;
  readonly #damaged = new Set<CopySource>();
  readonly #onDamaged: (digest: string) => void;
  readonly #copying = new Set<Promise<boolean>>();
  #closed: Promise<void> | undefined;

  constructor(
    target: CopyTarget,
    found: {
      places: ReadonlyMap<number, Place>;
      own: ReadonlyMap<number, number>;
      twins: ReadonlyMap<number, readonly number[]>;
    },
    used: ReadonlySet<CopySource>,
    onDamaged: (digest: string) => void,
  ) {
    this.#target = target;
    this.#places = found.places;
    this.#own = found.own;
    this.#used = used;
    this.#onDamaged = onDamaged;
    this.chunks = [...found.places.keys(), ...found.own.keys()].sort((a, b) => a - b);
    this.twins = found.twins;
  }

  async copy(chunk: number): Promise<boolean> {
    const own = this.#own.get(chunk);
    if (own !== undefined) return this.copyTwin(own, chunk);
    const place = this.#places.get(chunk);
    if (place === undefined || this.#damaged.has(place.source)) return false;
    const { source } = place;
    if (await this.#copy(chunk, source.file, source.manifest.offset(place.chunk))) return true;
    if (this.#damaged.has(source)) return false;
    this.#damaged.add(source);
    if (source.complete) this.#onDamaged(source.manifest.digest);
    return false;
  }

  copyTwin(from: number, to: number): Promise<boolean> {
    const { file, manifest } = this.#target;
    return this.#copy(to, file, manifest.offset(from));
  }

  close(): Promise<void> {
    this.#closed ??= this.#close();
    return this.#closed;
  }

  async #close(): Promise<void> {
    // A thread may be reading from the files.
    await Promise.allSettled(this.#copying);
    await Promise.all([...this.#used].map((source) => source.close()));
  }

  async #copy(chunk: number, from: FileHandle, position: number): Promise<boolean> {
    if (this.#closed !== undefined) throw new Error("the artifact's copies are closed");
    const copying = this.#target.copy(chunk, from, position);
    this.#copying.add(copying);
    try {
      return await copying;
    } finally {
      this.#copying.delete(copying);
    }
  }
}
