/** Failures of one address in a minute, above which it has to wait. */
const MAX_FAILURES = 10;
const WINDOW_MS = 60_000;
/** Addresses that are remembered; beyond, the one that failed first is forgotten. */
const MAX_ADDRESSES = 10_000;

/** Counts failures by address, in bounded memory. Pure but for what it remembers. */
export class FailureLimiter {
  readonly #windows = new Map<string, { ends: number; failures: number }>();

  /** Milliseconds that the address has to wait; 0: it may try. */
  waitMs(address: string, now: number): number {
    const window = this.#windows.get(address);
    if (window === undefined || window.failures < MAX_FAILURES) return 0;
    return isOver(window, now) ? 0 : window.ends - now;
  }

  failed(address: string, now: number): void {
    const window = this.#windows.get(address);
    if (window !== undefined && !isOver(window, now)) {
      window.failures += 1;
      return;
    }
    this.#windows.delete(address);
    if (this.#windows.size >= MAX_ADDRESSES) {
      const [oldest] = this.#windows.keys();
      if (oldest !== undefined) this.#windows.delete(oldest);
    }
    this.#windows.set(address, { ends: now + WINDOW_MS, failures: 1 });
  }

  get size(): number {
    return this.#windows.size;
  }
}

/** One that ends later than any could was begun before somebody set the clock back. */
function isOver({ ends }: { ends: number }, now: number): boolean {
  return ends <= now || ends > now + WINDOW_MS;
}
