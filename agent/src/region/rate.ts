/** Between two samples, in ms. */
const SAMPLE_MS = 1_000;

/** Bytes a second of a count that rises, over the last second or two. */
export class Rate {
  #before: { bytes: number; at: number } | undefined;
  #perSecond = 0;

  /** @param at milliseconds on any clock. */
  update(bytes: number, at: number): number {
    const before = this.#before;
    if (before === undefined || bytes < before.bytes) {
      // A new generation counts from the start.
      this.#before = { bytes, at };
      this.#perSecond = 0;
    } else if (at - before.at >= SAMPLE_MS) {
      this.#perSecond = Math.round(((bytes - before.bytes) * 1_000) / (at - before.at));
      this.#before = { bytes, at };
    }
    return this.#perSecond;
  }

  get perSecond(): number {
    return this.#perSecond;
  }
}
