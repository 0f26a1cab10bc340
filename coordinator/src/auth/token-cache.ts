import type { KnownToken } from "./token-store.js";
import { toIdentity } from "./to-identity.js";
import type { Identity } from "./identity.js";

/** Tokens that are remembered; beyond, those that were used longest ago are forgotten. */
const MAX_TOKENS = 10_000;
/** Unless it is used or followed, a token is asked about no more after this time. */
const FORGET_MS = 10_000;
/** Tokens that are remembered as they were when nobody used them any more. */
const MAX_UNUSED = 10_000;

/** What is known of a token here. */
export interface CachedToken {
  token: KnownToken;
  readonly identity: Identity;
  /** When the database said so, in milliseconds of the clock. */
  checkedAt: number;
  usedAt: number;
  /** The last use that the database was told of. */
  toldAt: number;
  /** Ends of the calls in progress that it came with. */
  readonly ends: Set<(error: Error) => void>;
}

/** The tokens that calls come with, in bounded memory, but for those of calls in progress. */
export class TokenCache {
  readonly #tokens = new Map<string, CachedToken>();
  /** By id; the first to be unused in front. */
  readonly #unused = new Map<string, KnownToken>();

  get(id: string): CachedToken | undefined {
    return this.#tokens.get(id);
  }

  /** Remembers what the database said at a time. */
  put(token: KnownToken, checkedAt: number): CachedToken {
    const known = this.#tokens.get(token.id);
    if (known !== undefined) {
      known.token = token;
      known.checkedAt = Math.max(known.checkedAt, checkedAt);
      return known;
    }
    this.#makeRoom();
    const created: CachedToken = {
      token,
      identity: toIdentity(token),
      checkedAt,
      usedAt: checkedAt,
      toldAt: token.lastUseTime?.getTime() ?? 0,
      ends: new Set(),
    };
    this.#tokens.set(token.id, created);
    return created;
  }

  drop(id: string): void {
    this.#tokens.delete(id);
    this.#unused.delete(id);
  }

  /** As it was known last, also if it is in use no more. */
  recall(id: string): KnownToken | undefined {
    return this.#tokens.get(id)?.token ?? this.#unused.get(id);
  }

  /** Those that are in use; forgets the others. */
  active(now: number): CachedToken[] {
    for (const [id, { ends, usedAt }] of this.#tokens) {
      if (ends.size === 0 && now - usedAt > FORGET_MS) this.#forget(id);
    }
    return [...this.#tokens.values()];
  }

  /** Every one that is in use, and what was lately. */
  all(): CachedToken[] {
    return [...this.#tokens.values()];
  }

  #makeRoom(): void {
    if (this.#tokens.size < MAX_TOKENS) return;
    for (const [id, { ends }] of this.#tokens) {
      if (ends.size > 0) continue;
      this.#forget(id);
      return;
    }
  }

  #forget(id: string): void {
    const token = this.#tokens.get(id)?.token;
    this.#tokens.delete(id);
    this.#unused.delete(id);
    const [first] = this.#unused.keys();
    if (this.#unused.size >= MAX_UNUSED && first !== undefined) this.#unused.delete(first);
    if (token !== undefined) this.#unused.set(id, token);
  }
}
