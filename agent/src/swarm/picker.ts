import type { ChunkBits } from "./chunk-bits.js";

/** What a choice depends on. */
export interface PickContext {
  /** Chunks that nobody has been asked for yet. */
  wanted: ChunkBits;
  /** What the one to ask has; "all" of them. */
  held: { readonly bytes: Uint8Array } | "all";
  /** How many neighbours have a chunk. */
  holders: Uint16Array;
  /** Leaves out some that it has. */
  mayAsk?: (chunk: number) => boolean;
  random: () => number;
}

/** So many chunks are compared for one choice: its cost is bounded. */
const CANDIDATES = 128;

/**
 * Which chunk to ask a neighbour for: the one that fewest neighbours have, ties at random. Undefined
 * if it has nothing that is wanted.
 */
export function pickChunk(context: PickContext): number | undefined {
  const { wanted, held, holders, mayAsk } = context;
  if (wanted.size === 0) return undefined;
  const length = wanted.bytes.length;
  const start = Math.floor(context.random() * length);
  let best: number | undefined;
  let fewest = Infinity;
  let ties = 0;
  let candidates = 0;
  for (let step = 0; step < length && candidates < CANDIDATES; step++) {
    const place = start + step < length ? start + step : start + step - length;
    let both = wanted.bytes[place] ?? 0;
    if (held !== "all") both &= held.bytes[place] ?? 0;
    while (both !== 0) {
      const bit = Math.clz32(both) - 24;
      both &= ~(0x80 >> bit);
      const chunk = place * 8 + bit;
      const count = holders[chunk] ?? 0;
      candidates++;
      if (count > fewest || mayAsk?.(chunk) === false) continue;
      ties = count < fewest ? 1 : ties + 1;
      fewest = count;
      if (ties === 1 || context.random() * ties < 1) best = chunk;
    }
  }
  return best;
}
