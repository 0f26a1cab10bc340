export interface RescueGateOptions {
  /** How long nothing is rescued after a gap: one lease period. */
  holdMs: number;
  /** From one answer of the database to the next; longer is a gap. Less than a lease period. */
  maxGapMs: number;
}

/**
 * Says when builds may be rescued. While the database can't be reached no heartbeat arrives, so
 * afterwards every lease looks expired: the gate stays shut until their builders had time to be
 * heard again. A stall of this process looks the same, and so does its start. Takes the time from a
 * clock that never jumps.
 */
export class RescueGate {
  readonly #options: RescueGateOptions;
  #lastAnswer: number | undefined;
  #openAt = Number.POSITIVE_INFINITY;

  constructor(options: RescueGateOptions) {
    this.#options = options;
  }

  /** The database answered. */
  answered(now: number): void {
    if (this.#isGap(now)) this.#openAt = now + this.#options.holdMs;
    this.#lastAnswer = now;
  }

  isOpen(now: number): boolean {
    return !this.#isGap(now) && now >= this.#openAt;
  }

  #isGap(now: number): boolean {
    return this.#lastAnswer === undefined || now - this.#lastAnswer > this.#options.maxGapMs;
  }
}
