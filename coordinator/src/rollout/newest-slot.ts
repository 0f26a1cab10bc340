/** Holds the newest value for one reader: a slow reader misses what came between. */
export class NewestSlot<T> {
  #value: { value: T } | undefined;
  #wake: (() => void) | undefined;

  put(value: T): void {
    this.#value = { value };
    this.#wake?.();
  }

  get isEmpty(): boolean {
    return this.#value === undefined;
  }

  /** Takes the value, or waits for one. One reader at a time. @throws the signal's reason. */
  async take(signal: AbortSignal): Promise<T> {
    while (true) {
      signal.throwIfAborted();
      const held = this.#value;
      if (held !== undefined) {
        this.#value = undefined;
        return held.value;
      }
      await new Promise<void>((resolve) => {
        this.#wake = () => {
          this.#wake = undefined;
          signal.removeEventListener("abort", this.#aborted);
          resolve();
        };
        signal.addEventListener("abort", this.#aborted, { once: true });
      });
    }
  }

  readonly #aborted = (): void => this.#wake?.();
}
