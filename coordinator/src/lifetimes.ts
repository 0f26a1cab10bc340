import type { Logger } from "pino";

/** What was started, to be ended in the opposite order. */
export class Lifetimes {
  readonly #log: Logger;
  readonly #ends: { what: string; end: () => Promise<unknown> }[] = [];
  #ended: Promise<void> | undefined;

  constructor(log: Logger) {
    this.#log = log;
  }

  /** Remembers how to end what was just started. */
  add(what: string, end: () => Promise<unknown>): void {
    this.#ends.push({ what, end });
  }

  /** Ends everything, last in first out, whatever fails. May be called twice. */
  end(): Promise<void> {
    return (this.#ended ??= this.#endAll());
  }

  async #endAll(): Promise<void> {
    for (let last = this.#ends.pop(); last !== undefined; last = this.#ends.pop()) {
      try {
        await last.end();
      } catch (error) {
        this.#log.error({ err: error }, `stopping ${last.what} failed`);
      }
    }
  }
}
