/** What is to be logged of a failure. */
export type Note =
  /** In full: it is the first, or the first for a while. */
  | { say: "all"; suppressed: number }
  /** Nothing, but for those who look for every detail. */
  | { say: "nothing" };

/** An outage that is over. */
export interface Ended {
  server: string;
  /** From the first failure to the last. */
  durationMs: number;
  /** Failures that were not said. */
  suppressed: number;
}

interface Outage {
  began: number;
  failedAt: number;
  saidAt: number;
  /** Since it was said last. */
  suppressed: number;
}

/**
 * Keeps what every loop and every call has to say of one server that is away within bounds: it is
 * said when it begins, at most every so often while it lasts, and when there was no failure for a
 * while. Pure: it is told the time, in milliseconds.
 */
export class OutageNotes {
  readonly #repeatMs: number;
  readonly #quietMs: number;
  readonly #outages = new Map<string, Outage>();

  constructor({ repeatMs, quietMs }: { repeatMs: number; quietMs: number }) {
    this.#repeatMs = repeatMs;
    this.#quietMs = quietMs;
  }

  /** Something failed for want of that server. */
  failed(server: string, now: number): Note {
    const outage = this.#outages.get(server);
    if (outage === undefined) {
      this.#outages.set(server, { began: now, failedAt: now, saidAt: now, suppressed: 0 });
      return { say: "all", suppressed: 0 };
    }
    outage.failedAt = now;
    if (now - outage.saidAt < this.#repeatMs) {
      outage.suppressed += 1;
      return { say: "nothing" };
    }
    const { suppressed } = outage;
    outage.saidAt = now;
    outage.suppressed = 0;
    return { say: "all", suppressed };
  }

  /** The outages that have ended; each is told once. To be asked every second or so. */
  ended(now: number): Ended[] {
    const over = [...this.#outages].filter(([, { failedAt }]) => now - failedAt >= this.#quietMs);
    return over.map(([server, { began, failedAt, suppressed }]) => {
      this.#outages.delete(server);
      return { server, durationMs: failedAt - began, suppressed };
    });
  }
}
