/** A signal that is remembered until somebody waits for it. For one waiter at a time. */
export class Wake {
  #signalled = false;
  #resolve: (() => void) | undefined;

  signal(): void {
    this.#signalled = true;
    this.#resolve?.();
  }

  /**
   * Resolves at once if there was a signal since the last call, else at the next one or after
   * timeoutMs, whichever is first. @throws the signal's reason.
   */
  async next({ timeoutMs, signal }: { timeoutMs: number; signal: AbortSignal }): Promise<void> {
    signal.throwIfAborted();
    if (!this.#signalled) await this.#wait(timeoutMs, signal);
    this.#signalled = false;
  }

  #wait(timeoutMs: number, signal: AbortSignal): Promise<void> {
    return new Promise((resolve, reject) => {
      const end = (settle: () => void): void => {
        clearTimeout(timer);
        signal.removeEventListener("abort", abort);
        this.#resolve = undefined;
        settle();
      };
      const abort = (): void => end(() => reject(signal.reason as Error));
      const timer = setTimeout(() => end(resolve), timeoutMs);
      signal.addEventListener("abort", abort, { once: true });
      this.#resolve = () => end(resolve);
    });
  }
}
