/** A burst is what flows in so long a time. */
const BURST_MS = 50;

/**
 * Keeps a flow to so many bytes a second. What is taken may be more than is there: then nothing more
 * may be taken until the debt is paid, so that a chunk of any size passes and the average holds.
 */
export class TokenBucket {
  readonly #bytesPerMs: number;
  #tokens = 0;
  #at: number | undefined;

  /** Infinity for no limit. */
  constructor(bytesPerSecond: number) {
    this.#bytesPerMs = bytesPerSecond / 1_000;
  }

  /** May something be taken now? */
  open(now: number): boolean {
    return this.#bytesPerMs === Infinity || this.#filled(now) >= 0;
  }

  /** Negative gives back what was taken and not used. */
  take(bytes: number): void {
    if (this.#bytesPerMs !== Infinity) this.#tokens -= bytes;
  }

  /** When something may be taken again; `now` if it may. */
  openAt(now: number): number {
    return this.open(now) ? now : now - this.#tokens / this.#bytesPerMs;
  }

  #filled(now: number): number {
    const since = now - (this.#at ?? now);
    this.#at = now;
    this.#tokens = Math.min(this.#tokens + since * this.#bytesPerMs, BURST_MS * this.#bytesPerMs);
    return this.#tokens;
  }
}
