/** A read takes no longer than this where all is well. */
const LATE_MS = 5_000;

/**
 * Since when what is read again and again could not be read: because it failed, or because it takes so
 * long that nobody knows. Pure: it is told the time, in milliseconds.
 */
export class Freshness {
  #readAt = 0;
  #failed = false;

  /** A read that began then has succeeded. */
  read(began: number): void {
    this.#readAt = Math.max(this.#readAt, began);
    this.#failed = false;
  }

  /** A read has failed. */
  failed(): void {
    this.#failed = true;
  }

  /** When it was read last, if that is too long ago or was tried in vain since; else undefined. */
  staleSince(now: number): number | undefined {
    return this.#failed || now - this.#readAt > LATE_MS ? this.#readAt : undefined;
  }
}
