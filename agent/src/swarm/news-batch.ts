/** Gathers chunks that became available, until they are told together. */
export class NewsBatch {
  readonly #ms: number;
  readonly #chunks: number;
  readonly #tell: (digest: string, chunks: readonly number[]) => void;
  readonly #waiting = new Map<string, number[]>();
  #timer: NodeJS.Timeout | undefined;
  #toldAt = -Infinity;

  /**
   * Tells at once, but no more often than every so many milliseconds, unless so many chunks of an
   * artifact wait.
   */
  constructor(
    ms: number,
    chunks: number,
    tell: (digest: string, chunks: readonly number[]) => void,
  ) {
    this.#ms = ms;
    this.#chunks = chunks;
    this.#tell = tell;
  }

  add(digest: string, chunk: number): void {
    const waiting = this.#waiting.get(digest);
    if (waiting === undefined) this.#waiting.set(digest, [chunk]);
    else waiting.push(chunk);
    if ((waiting?.length ?? 1) >= this.#chunks) this.#flush(digest);
    else {
      const wait = Math.max(0, this.#toldAt + this.#ms - performance.now());
      this.#timer ??= setTimeout(() => this.#flushAll(), wait);
    }
  }

  close(): void {
    clearTimeout(this.#timer);
    this.#waiting.clear();
  }

  #flushAll(): void {
    this.#timer = undefined;
    this.#toldAt = performance.now();
    for (const digest of this.#waiting.keys()) this.#flush(digest);
  }

  #flush(digest: string): void {
    const chunks = this.#waiting.get(digest) ?? [];
    this.#waiting.delete(digest);
    this.#tell(digest, chunks);
  }
}
