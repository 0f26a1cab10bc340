/** Coordinators are said to be there for so long after they were last heard. */
export const PRESENCE_MS = 35_000;
/** More than that is nonsense: whoever can send it owns the database. */
const MAX_SENDERS = 1_000;

/** Which other coordinators were heard lately. Pure but for what it remembers. */
export class Presence {
  readonly #heardAt = new Map<string, number>();

  /** Answers whether it was not there before. `now` in milliseconds of a clock that never jumps. */
  hear(sender: string, now: number): boolean {
    this.#forget(now);
    const isNew = !this.#heardAt.has(sender);
    if (!isNew || this.#heardAt.size < MAX_SENDERS) this.#heardAt.set(sender, now);
    return isNew;
  }

  isAlone(now: number): boolean {
    this.#forget(now);
    return this.#heardAt.size === 0;
  }

  #forget(now: number): void {
    for (const [sender, heardAt] of this.#heardAt) {
      if (now - heardAt > PRESENCE_MS) this.#heardAt.delete(sender);
    }
  }
}
