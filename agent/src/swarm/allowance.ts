/** What somebody may cause at no gain to us: a burst of it, then so much a second. Takes the clock's time. */
export class Allowance {
  readonly #burst: number;
  readonly #perSecond: number;
  #left: number;
  #at: number | undefined;

  constructor(options: { burst: number; perSecond: number }) {
    this.#burst = options.burst;
    this.#perSecond = options.perSecond;
    this.#left = options.burst;
  }

  /** False if that is too much. */
  spend(now: number, cost = 1): boolean {
    const since = Math.max(0, now - (this.#at ?? now));
    this.#at = now;
    this.#left = Math.min(this.#burst, this.#left + (since * this.#perSecond) / 1_000);
    if (this.#left < cost) return false;
    this.#left -= cost;
    return true;
  }
}
