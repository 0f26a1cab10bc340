const DAY_MS = 24 * 3_600_000;
/** Before its end something is warned of for so long, once a day. */
const WARN_DAYS = 30;

/** When to warn of the end of a certificate, or of what else lets somebody in until then. */
export class EndWarning {
  #expireTime: number | undefined;
  #warnedAt = Number.NEGATIVE_INFINITY;

  /** Whether it is time to warn: near the end, and not within the last day. */
  isDue(expireTime: Date | undefined, now: number): boolean {
    const end = expireTime?.getTime();
    // Another one takes its place, which nobody was warned of.
    if (end !== this.#expireTime) this.#warnedAt = Number.NEGATIVE_INFINITY;
    this.#expireTime = end;
    if (end === undefined || end - now > WARN_DAYS * DAY_MS) return false;
    return now - this.#warnedAt >= DAY_MS;
  }

  warned(now: number): void {
    this.#warnedAt = now;
  }
}
