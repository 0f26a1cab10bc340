/** Two count as alive at once if they were heard over the same time for so long, in ms. */
const OVERLAP_MS = 5_000;
/** One that has not been heard for so long is gone, in ms. */
const GONE_AFTER_MS = 30_000;
/** Of one that keeps starting anew, the last. */
const MAX_KEPT = 8;

interface Heard<T> {
  what: T;
  firstAt: number;
  lastAt: number;
}

/**
 * Who speaks under one identity: tells two that live at once from one that was started again. That
 * one is heard, then the other, and never the first again; what comes late, as messages overtake each
 * other, comes within seconds. Pure: it is told the time, in milliseconds.
 */
export class Incarnations<T> {
  readonly #heard = new Map<string, Heard<T>>();

  /** Something was heard of the incarnation of that name. */
  note(incarnation: string, what: T, now: number): void {
    this.#forget(now);
    const known = this.#heard.get(incarnation);
    // Put last, so that the first is the one that was not heard for longest.
    this.#heard.delete(incarnation);
    this.#heard.set(incarnation, { what, firstAt: known?.firstAt ?? now, lastAt: now });
    if (this.#heard.size <= MAX_KEPT) return;
    const [oldest] = this.#heard.keys();
    if (oldest !== undefined) this.#heard.delete(oldest);
  }

  /** How many were heard lately. */
  size(now: number): number {
    this.#forget(now);
    return this.#heard.size;
  }

  /** Those that live at once, by name; empty when all is well. */
  twins(now: number): ReadonlyMap<string, T> {
    this.#forget(now);
    const heard = [...this.#heard];
    const twins = heard.filter(([, one]) =>
      heard.some(([, other]) => other !== one && overlapMs(one, other) >= OVERLAP_MS),
    );
    return new Map(twins.map(([incarnation, { what }]) => [incarnation, what]));
  }

  #forget(now: number): void {
    for (const [incarnation, { lastAt }] of this.#heard) {
      if (now - lastAt > GONE_AFTER_MS) this.#heard.delete(incarnation);
    }
  }
}

function overlapMs(a: Heard<unknown>, b: Heard<unknown>): number {
  return Math.min(a.lastAt, b.lastAt) - Math.max(a.firstAt, b.firstAt);
}

/** More than any agent says of itself. */
const MAX_NAME = 256;

/** What tells one start of an agent from another. Earlier versions say only when they started. */
export function incarnationOf({
  process,
  startTime,
}: {
  process: { incarnation: string } | undefined;
  startTime: Date | undefined;
}): string {
  return process?.incarnation.slice(0, MAX_NAME) ?? `started ${startTime?.getTime() ?? 0}`;
}
