/** What setTimeout takes; a later moment is looked at again then. */
const MAX_DELAY_MS = 2 ** 31 - 1;

/** One timer for each key and purpose: setting it again takes the earlier one back. */
export class Timers {
  readonly #timers = new Map<string, Map<string, NodeJS.Timeout>>();

  set(key: string, purpose: string, delayMs: number, run: () => void): void {
    this.clear(key, purpose);
    const own = this.#timers.get(key) ?? new Map<string, NodeJS.Timeout>();
    this.#timers.set(key, own);
    const timer = setTimeout(
      () => {
        this.clear(key, purpose);
        run();
      },
      Math.min(MAX_DELAY_MS, Math.ceil(delayMs)),
    );
    own.set(purpose, timer);
  }

  /** Takes back one timer of a key, all of it, or all there are. */
  clear(key?: string, purpose?: string): void {
    if (key === undefined) {
      for (const each of this.#timers.keys()) this.clear(each);
      return;
    }
    const own = this.#timers.get(key);
    for (const [name, timer] of own ?? []) {
      if (purpose !== undefined && purpose !== name) continue;
      clearTimeout(timer);
      own?.delete(name);
    }
    if (own?.size === 0) this.#timers.delete(key);
  }
}
