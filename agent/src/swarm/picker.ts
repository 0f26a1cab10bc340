import type { IndexSet } from "./index-set.js";

/** What a choice depends on. */
export interface PickContext {
  /** Chunks that nobody has been asked for yet. */
  wanted: IndexSet;
  /** How many neighbours have a chunk. */
  holders: Uint16Array;
  /** Whether somebody who is no seeder has a chunk, and is not demoted. */
  peersHave: (chunk: number) => boolean;
  /** Whether the one to ask has a chunk. */
  has: (chunk: number) => boolean;
  seeder: boolean;
  /** Of a seeder, also what others have or will get from it, rather than only one's own share. */
  othersToo: boolean;
  /** This one's part of the artifact among those that fetch it, so that a seeder spreads it. */
  share: { rank: number; of: number };
  random: () => number;
}

/** So many candidates and chunks are looked at for one choice: its cost is bounded. */
const CANDIDATES = 512;
const LOOKS = 8_192;
const SHARED_PENALTY = 1 << 20;
const OTHERS_SHARE_PENALTY = 1 << 18;

/**
 * Which chunk to ask a neighbour for: the rarest, ties at random. Of a seeder, one that no other
 * neighbour has, and of one's own share: so hosts that start together take different chunks from
 * it, and the rest from each other. Undefined if it has nothing that is wanted.
 */
export function pickChunk(context: PickContext): number | undefined {
  const { wanted, holders, has, seeder, share } = context;
  const start = Math.floor(context.random() * wanted.size);
  let best: number | undefined;
  let bestScore = Infinity;
  const looks = Math.min(wanted.size, LOOKS);
  let candidates = 0;
  for (let step = 0; step < looks && candidates < CANDIDATES; step++) {
    const chunk = wanted.at((start + step) % wanted.size);
    if (!has(chunk)) continue;
    candidates++;
    let score = holders[chunk] ?? 0;
    if (seeder) {
      const shared = context.peersHave(chunk);
      const own = chunk % share.of === share.rank;
      if ((shared || !own) && !context.othersToo) continue;
      if (shared) score += SHARED_PENALTY;
      if (!own) score += OTHERS_SHARE_PENALTY;
    }
    if (score < bestScore) {
      best = chunk;
      bestScore = score;
      if (score <= 1) break;
    }
  }
  return best;
}
