import { Bitfield } from "../store/bitfield.js";
import { ChunkBits } from "./chunk-bits.js";
import type { Priority } from "./priority.js";

/** The sizes of an artifact's chunks; a Manifest is one. */
export interface ChunkSizes {
  readonly chunkCount: number;
  readonly sizeBytes: number;
  sizeOf(index: number): number;
}

/** Which chunks a neighbour has; "all" for a seeder. */
export type Holding = Bitfield | "all";

export interface DownloadOptions {
  /** "normal" unless told. */
  priority?: Priority;
  /** Missing chunks that are being looked for on this host: not asked of others meanwhile. */
  except?: ReadonlySet<number>;
}

/**
 * What is known of an artifact that is being fetched. A chunk is looked for on this host, wanted,
 * asked for (of one neighbour or more), arrived (being verified and written), or here.
 */
export class Download {
  readonly digest: string;
  readonly sizes: ChunkSizes;
  priority: Priority;
  readonly local: Set<number>;
  readonly wanted: ChunkBits;
  /** Chunk → ids of the neighbours that were asked. */
  readonly asked = new Map<number, string[]>();
  readonly arrived = new Set<number>();
  readonly holders: Uint16Array;
  readonly holdings = new Map<string, Holding>();
  /** Neighbours that have nothing that is wanted: not looked at again until that may have changed. */
  readonly exhausted = new Set<string>();
  /** Seeders that have nothing new to give, by when they said so. */
  readonly nothingNew = new Map<string, number>();

  constructor(digest: string, sizes: ChunkSizes, have: Bitfield, options: DownloadOptions = {}) {
    this.digest = digest;
    this.sizes = sizes;
    this.priority = options.priority ?? "normal";
    this.local = new Set([...(options.except ?? [])].filter((chunk) => !have.has(chunk)));
    this.wanted = new ChunkBits(sizes.chunkCount);
    this.holders = new Uint16Array(sizes.chunkCount);
    for (let chunk = 0; chunk < sizes.chunkCount; chunk++) {
      if (!have.has(chunk) && !this.local.has(chunk)) this.want(chunk);
    }
  }

  get done(): boolean {
    const { local, wanted, asked, arrived } = this;
    return local.size === 0 && wanted.size === 0 && asked.size === 0 && arrived.size === 0;
  }

  /** What a chunk has on average. */
  get meanBytes(): number {
    return Math.ceil(this.sizes.sizeBytes / Math.max(1, this.sizes.chunkCount));
  }

  /** Neither here nor arrived. */
  lacks(chunk: number): boolean {
    return this.wanted.has(chunk) || this.asked.has(chunk) || this.local.has(chunk);
  }

  want(chunk: number): void {
    if (this.wanted.has(chunk)) return;
    this.arrived.delete(chunk);
    this.wanted.add(chunk);
    this.exhausted.clear();
  }

  ask(peer: string, chunk: number): void {
    this.local.delete(chunk);
    this.wanted.delete(chunk);
    this.asked.set(chunk, [...(this.asked.get(chunk) ?? []), peer]);
  }

  /** A neighbour won't send a chunk that it was asked for; wanted again if nobody else will. */
  unask(peer: string, chunk: number): void {
    const others = (this.asked.get(chunk) ?? []).filter((other) => other !== peer);
    if (others.length > 0) this.asked.set(chunk, others);
    else {
      this.asked.delete(chunk);
      if (!this.arrived.has(chunk)) this.want(chunk);
    }
  }

  hasChunk(peer: string, chunk: number): boolean {
    const holding = this.holdings.get(peer);
    return holding === "all" || (holding?.has(chunk) ?? false);
  }

  /** Replaces what a neighbour is known to have. RangeError if it does not fit the artifact. */
  setHolding(peer: string, holding: Holding | undefined): void {
    if (holding !== undefined && holding !== "all" && holding.size !== this.sizes.chunkCount) {
      throw new RangeError(`a bitfield of ${holding.size} for ${this.sizes.chunkCount} chunks`);
    }
    this.exhausted.delete(peer);
    const before = this.holdings.get(peer);
    if (before !== undefined) this.#count(before, -1);
    if (holding === undefined) this.holdings.delete(peer);
    else {
      this.holdings.set(peer, holding);
      this.#count(holding, 1);
    }
  }

  /** RangeError if there is no such chunk. */
  addHolding(peer: string, chunk: number): void {
    const holding = this.holdings.get(peer);
    if (holding === undefined || holding === "all" || !holding.set(chunk)) return;
    this.exhausted.delete(peer);
    this.holders[chunk] = (this.holders[chunk] ?? 0) + 1;
  }

  /** A neighbour does not have a chunk after all. */
  removeHolding(peer: string, chunk: number): void {
    let holding = this.holdings.get(peer);
    if (holding === undefined) return;
    if (holding === "all") {
      holding = new Bitfield(this.sizes.chunkCount);
      for (let other = 0; other < holding.size; other++) holding.set(other);
      this.holdings.set(peer, holding);
    }
    if (holding.clear(chunk)) this.holders[chunk] = (this.holders[chunk] ?? 0) - 1;
  }

  #count(holding: Holding, by: 1 | -1): void {
    for (let chunk = 0; chunk < this.sizes.chunkCount; chunk++) {
      if (holding !== "all" && !holding.has(chunk)) continue;
      this.holders[chunk] = (this.holders[chunk] ?? 0) + by;
    }
  }
}
