import type { Bitfield } from "../store/bitfield.js";
import { ChunkBits } from "./chunk-bits.js";
import { IndexSet } from "./index-set.js";

/**
 * Which chunk a seeder gives to whom when it is asked for any: one that no neighbour has yet, so
 * that the first copy of an artifact leaves the seeder exactly once and the rest come from peers.
 */
export class Giver {
  readonly #spreads = new Map<string, Spread>();
  readonly #random: () => number;

  constructor(random: () => number = Math.random) {
    this.#random = random;
  }

  /** Replaces what a neighbour is known to have. */
  setHolding(peer: string, digest: string, chunkCount: number, holding: Bitfield | "all"): void {
    const spread = this.#spread(digest, chunkCount);
    spread.remove(peer);
    spread.interested.add(peer);
    for (let chunk = 0; chunk < chunkCount; chunk++) {
      if (holding === "all" || holding.has(chunk)) spread.add(peer, chunk);
    }
  }

  /** Chunks beyond the artifact's end are ignored. */
  addHave(peer: string, digest: string, chunks: readonly number[]): void {
    const spread = this.#spreads.get(digest);
    if (spread?.interested.has(peer) !== true) return;
    for (const chunk of chunks) spread.add(peer, chunk);
  }

  /** What it has still counts, as it shares it, for as long as anybody else is interested. */
  removeInterest(peer: string, digest: string): void {
    const spread = this.#spreads.get(digest);
    spread?.interested.delete(peer);
    if (spread?.interested.size === 0) this.#spreads.delete(digest);
  }

  removePeer(peer: string): void {
    for (const [digest, spread] of this.#spreads) {
      spread.remove(peer);
      this.removeInterest(peer, digest);
    }
  }

  /** The chunk to send to this neighbour; undefined if there is nothing new for it. */
  pick(peer: string, digest: string, chunkCount: number): number | undefined {
    const spread = this.#spread(digest, chunkCount);
    spread.interested.add(peer);
    if (spread.fresh.size === 0) return undefined;
    const chunk = spread.fresh.at(Math.floor(this.#random() * spread.fresh.size));
    spread.add(peer, chunk);
    return chunk;
  }

  /** A chunk that was picked could not be sent after all. */
  returned(peer: string, digest: string, chunk: number): void {
    this.#spreads.get(digest)?.take(peer, chunk);
  }

  #spread(digest: string, chunkCount: number): Spread {
    const known = this.#spreads.get(digest);
    if (known !== undefined) return known;
    const spread = new Spread(chunkCount);
    this.#spreads.set(digest, spread);
    return spread;
  }
}

/** Who has, or is being sent, which chunks of one artifact. */
class Spread {
  readonly interested = new Set<string>();
  /** Chunks that no neighbour has or is being sent. */
  readonly fresh: IndexSet;
  readonly #copies: Uint16Array;
  readonly #peers = new Map<string, ChunkBits>();

  constructor(chunkCount: number) {
    this.fresh = new IndexSet(chunkCount);
    this.#copies = new Uint16Array(chunkCount);
    for (let chunk = 0; chunk < chunkCount; chunk++) this.fresh.add(chunk);
  }

  add(peer: string, chunk: number): void {
    if (chunk >= this.#copies.length) return;
    const held = this.#peers.get(peer) ?? new ChunkBits(this.#copies.length);
    this.#peers.set(peer, held);
    if (held.add(chunk)) this.#count(chunk, 1);
  }

  take(peer: string, chunk: number): void {
    if (this.#peers.get(peer)?.delete(chunk) === true) this.#count(chunk, -1);
  }

  remove(peer: string): void {
    for (let chunk = 0; chunk < this.#copies.length; chunk++) this.take(peer, chunk);
    this.#peers.delete(peer);
  }

  #count(chunk: number, by: 1 | -1): void {
    const copies = (this.#copies[chunk] ?? 0) + by;
    this.#copies[chunk] = copies;
    if (copies === 0) this.fresh.add(chunk);
    else this.fresh.delete(chunk);
  }
}
