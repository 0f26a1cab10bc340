/** NATS has to answer at least this often: a multiple of how often it is asked. */
export const GAP_MS = 5_000;
/** Agents speak every 2 s, and find their way back to NATS in about one. */
export const RETURN_MS = 6_000;

/**
 * Whether this coordinator would hear of regions at all, and since when without a gap: what it does
 * not hear of them while NATS does not answer says nothing of them. Times are by the caller's clock.
 */
export class Hearing {
  readonly #began: number;
  #since = 0;
  #answeredAt = Number.NEGATIVE_INFINITY;
  /** When the last gap began. */
  #gapFrom: number | undefined;
  #isLost = false;

  /** @param began - When it was begun to listen. */
  constructor(began: number) {
    this.#began = began;
  }

  /** NATS has answered, or said something, just now. */
  note(now: number): void {
    if (now - this.#answeredAt > GAP_MS) {
      this.#since = now;
      this.#gapFrom = Number.isFinite(this.#answeredAt) ? this.#answeredAt : undefined;
    }
    this.#answeredAt = Math.max(now, this.#answeredAt);
    this.#isLost = false;
  }

  /** The connection has broken: what is asked now goes unanswered, though no gap is one yet. */
  lost(): void {
    this.#isLost = true;
  }

  /** Milliseconds since 1970; undefined while NATS does not answer. */
  since(now: number): number | undefined {
    return now - this.#answeredAt > GAP_MS ? undefined : this.#since;
  }

  /** Since when nothing would be heard, in milliseconds since 1970; undefined while it is. */
  unheardSince(now: number): number | undefined {
    if (!this.#isLost && this.since(now) !== undefined) return undefined;
    return this.lastAt;
  }

  /** When NATS answered last, or it was begun to listen, in milliseconds since 1970. */
  get lastAt(): number {
    return Math.max(this.#began, this.#answeredAt);
  }

  /**
   * When the gap began that is over now, for as long as agents may not have found back; else undefined.
   */
  returningSince(now: number): number | undefined {
    return now - this.#since < RETURN_MS ? this.#gapFrom : undefined;
  }
}
