/** Holds the newest value for one reader: a slow reader misses what came between. */
export class NewestSlot<T> {
  readonly #signal: AbortSignal;
  #value: { value: T } | undefined;
  #wake: () => void = () => undefined;

  /** @param signal ends the reader's waits, and lives no longer than the slot. */
  constructor(signal: AbortSignal) {
    this.#signal = signal;
    // Once, and not in each wait: thousands of readers wait for each value.
    signal.addEventListener("abort", () => this.#wake(), { once: true });
  }

  put(value: T): void {
    this.#value = { value };
    this.#wake();
  }

  get isEmpty(): boolean {
    return this.#value === undefined;
  }

  /** Takes the value, or waits for one. One reader at a time. @throws the signal's reason. */
  async take(): Promise<T> {
    while (true) {
      this.#signal.throwIfAborted();
      const held = this.#value;
      if (held !== undefined) {
        this.#value = undefined;
        return held.value;
      }
      await new Promise<void>((resolve) => (this.#wake = resolve));
    }
  }
}
