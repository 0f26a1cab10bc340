/** So many at once, and after that so many a second. */
export interface Rate {
  burst: number;
  perSecond: number;
}

export interface RateLimits {
  /** Of one address. */
  each: Rate;
  /** Of all addresses together. */
  all: Rate;
}

/** Addresses that are remembered; beyond, the one that was quiet for longest is forgotten. */
const MAX_ADDRESSES = 10_000;

/**
 * How often something may happen, of each address and in all, in bounded memory: token buckets. What
 * one address may not do any more takes nothing from the others. Times are milliseconds of any one
 * clock.
 */
export class RateLimiter {
  readonly #limits: RateLimits;
  readonly #each = new Map<string, Bucket>();
  readonly #all: Bucket;

  constructor(limits: RateLimits) {
    this.#limits = limits;
    this.#all = new Bucket(limits.all);
  }

  /** Whether it may happen once more now; then it counts as having happened. */
  allow(address: string, now: number): boolean {
    const own = this.#bucketOf(address);
    if (!own.has(now) || !this.#all.has(now)) return false;
    own.take();
    this.#all.take();
    return true;
  }

  /** Addresses that are remembered. */
  get size(): number {
    return this.#each.size;
  }

  #bucketOf(address: string): Bucket {
    const known = this.#each.get(address);
    this.#each.delete(address);
    if (known === undefined && this.#each.size >= MAX_ADDRESSES) {
      const [quietest] = this.#each.keys();
      if (quietest !== undefined) this.#each.delete(quietest);
    }
    const bucket = known ?? new Bucket(this.#limits.each);
    this.#each.set(address, bucket);
    return bucket;
  }
}

class Bucket {
  readonly #rate: Rate;
  #left: number;
  #at: number | undefined;

  constructor(rate: Rate) {
    this.#rate = rate;
    this.#left = rate.burst;
  }

  has(now: number): boolean {
    const { burst, perSecond } = this.#rate;
    const since = Math.max(0, now - (this.#at ?? now));
    this.#left = Math.min(burst, this.#left + (since * perSecond) / 1_000);
    this.#at = now;
    return this.#left >= 1;
  }

  take(): void {
    this.#left -= 1;
  }
}
