/** Messages that wait to be sent on a stream: bounded, first in, first out. */
export class Outbox<T> {
  readonly #limit: number;
  readonly #messages: T[] = [];
  #wake: () => void = () => undefined;
  #end: { error: unknown } | undefined;
  /** Runs while nothing waits but what may wait for others. */
  #patience: NodeJS.Timeout | undefined;

  constructor(limit: number) {
    this.#limit = limit;
  }

  /**
   * Answers false if the outbox is ended or full, and then the message is not sent.
   * @param patienceMs - How long it may wait for another to go with. Default: it does not wait.
   */
  push(message: T, patienceMs = 0): boolean {
    if (this.#end !== undefined || this.#messages.length >= this.#limit) return false;
    this.#messages.push(message);
    if (patienceMs === 0) this.#hurry();
    else if (this.#messages.length === 1) {
      this.#patience = setTimeout(() => this.#hurry(), patienceMs);
    }
    return true;
  }

  /** No more messages: the reader gets those that wait, then the error if there is one. */
  end(error?: unknown): void {
    this.#end ??= { error };
    this.#hurry();
  }

  /** Ends at once, and takes out what was not read. */
  close(): T[] {
    this.end();
    return this.#messages.splice(0);
  }

  /**
   * Reads until the end, once: what waits, as many at once as go together, at least one.
   * @throws what it was ended with, or the signal's reason.
   */
  async *read(
    signal: AbortSignal,
    countTogether: (messages: readonly T[]) => number,
  ): AsyncGenerator<T[]> {
    signal.addEventListener("abort", () => this.#wake(), { once: true });
    while (true) {
      if (this.#messages.length > 0 && this.#patience === undefined) {
        yield this.#messages.splice(0, countTogether(this.#messages));
      } else if (this.#end !== undefined) {
        if (this.#end.error !== undefined) throw this.#end.error;
        return;
      } else {
        signal.throwIfAborted();
        await new Promise<void>((resolve) => (this.#wake = resolve));
      }
    }
  }

  #hurry(): void {
    clearTimeout(this.#patience);
    this.#patience = undefined;
    this.#wake();
  }
}
