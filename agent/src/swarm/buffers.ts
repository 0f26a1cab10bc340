/**
 * Room of the pool, in bytes: what is asked for ahead (24 MiB), and what is being sent. One piece, as
 * memory taken and given back in a thousand is never quite given back. It costs only what is ever
 * used at once, about 40 MiB in a busy host; what does not fit costs its own memory until the garbage
 * collectors of both threads have seen that it is free, which they, knowing nothing of its size, are
 * slow to do.
 */
const POOL_BYTES = 64 * 1024 * 1024;
const PAGE_BYTES = 64 * 1024;

/** Lends buffers for chunks, in memory that other threads can see too. */
export class BufferPool {
  /** Where pages are free; the first free place is taken, so that few pages are ever touched. */
  readonly #used: Uint8Array;
  /** First page of a buffer → its number of pages. */
  readonly #lent = new Map<number, number>();
  readonly #bytes: number;
  #memory: SharedArrayBuffer | undefined;

  constructor(bytes = POOL_BYTES) {
    this.#bytes = bytes;
    this.#used = new Uint8Array(Math.floor(bytes / PAGE_BYTES));
  }

  /**
   * A buffer of exactly this size, with whatever bytes were in it. When all are lent it has memory
   * of its own.
   */
  take(size: number): Buffer {
    const pages = Math.ceil(size / PAGE_BYTES);
    const first = this.#find(pages);
    if (first === undefined) return Buffer.from(new SharedArrayBuffer(size));
    this.#memory ??= new SharedArrayBuffer(this.#bytes);
    this.#used.fill(1, first, first + pages);
    this.#lent.set(first, pages);
    return Buffer.from(this.#memory, first * PAGE_BYTES, size);
  }

  /** Only for a buffer from take, when nobody uses it any more. */
  give(buffer: Buffer): void {
    if (buffer.buffer !== this.#memory) return;
    const first = Math.floor(buffer.byteOffset / PAGE_BYTES);
    const pages = this.#lent.get(first);
    if (pages === undefined) return;
    this.#lent.delete(first);
    this.#used.fill(0, first, first + pages);
  }

  #find(pages: number): number | undefined {
    let run = 0;
    for (let page = 0; page < this.#used.length; page++) {
      run = this.#used[page] === 0 ? run + 1 : 0;
      if (run === pages) return page - pages + 1;
    }
    return undefined;
  }
}
