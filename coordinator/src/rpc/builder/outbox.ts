/** Messages that wait to be sent on a stream: bounded, first in, first out. */
export class Outbox<T> {
  readonly #limit: number;
  readonly #messages: T[] = [];
  #wake: () => void = () => undefined;
  #end: { error: unknown } | undefined;

  constructor(limit: number) {
    this.#limit = limit;
  }

  /** Answers false if the outbox is ended or full, and then the message is not sent. */
  push(message: T): boolean {
    if (this.#end !== undefined || this.#messages.length >= this.#limit) return false;
    this.#messages.push(message);
    this.#wake();
    return true;
  }

  /** No more messages: the reader gets those that wait, then the error if there is one. */
  end(error?: unknown): void {
    this.#end ??= { error };
    this.#wake();
  }

  /** Ends at once, and takes out what was not read. */
  close(): T[] {
    this.end();
    return this.#messages.splice(0);
  }

  /** Reads until the end, once. @throws what it was ended with, or the signal's reason. */
  async *read(signal: AbortSignal): AsyncGenerator<T> {
    signal.addEventListener("abort", () => this.#wake(), { once: true });
    while (true) {
      const message = this.#messages.shift();
      if (message !== undefined) {
        yield message;
      } else if (this.#end !== undefined) {
        if (this.#end.error !== undefined) throw this.#end.error;
        return;
      } else {
        signal.throwIfAborted();
        await new Promise<void>((resolve) => (this.#wake = resolve));
      }
    }
  }
}
