/** For so long a key has to be there: a global bucket that was lost is full again by then. */
const AFTER_MS = 120_000;

/** A key that is of no application, as far as is known: since when, and with what revision. */
interface Stray {
  revision: number;
  since: number;
}

/**
 * Which keys of the regional bucket have been of no application for so long that they are to go. Pure
 * but for what it remembers.
 */
export class StrayKeys {
  readonly #afterMs: number;
  #strays = new Map<string, Stray>();

  constructor(afterMs = AFTER_MS) {
    this.#afterMs = afterMs;
  }

  /**
   * Takes what is so now; what is written anew begins anew.
   * @param found key → revision; empty while it is not known what applications there are.
   * @param now in milliseconds, by any clock that never goes back.
   */
  see(found: ReadonlyMap<string, number>, now: number): void {
    const before = this.#strays;
    this.#strays = new Map();
    for (const [key, revision] of found) {
      const known = before.get(key);
      const since = known?.revision === revision ? known.since : now;
      this.#strays.set(key, { revision, since });
    }
  }

  /** Those that are to go, with the revision that they were seen to have. */
  due(now: number): [key: string, revision: number][] {
    return [...this.#strays].flatMap(([key, { revision, since }]) =>
      now - since >= this.#afterMs ? [[key, revision]] : [],
    );
  }

  /** In how many milliseconds there may be the next one; undefined if there is none. */
  dueInMs(now: number): number | undefined {
    const times = [...this.#strays.values()].map(({ since }) => since + this.#afterMs - now);
    return times.length === 0 ? undefined : Math.max(0, Math.min(...times));
  }
}
