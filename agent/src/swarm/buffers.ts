/** Buffers are kept for reuse up to this many bytes: fresh memory costs a page fault each 4 KiB. */
const KEEP_BYTES = 48 * 1024 * 1024;
const CAPACITY_MIN_BYTES = 64 * 1024;
/** Capacities between one power of two and the next: chunks have all sizes, buffers few. */
const STEPS = 4;

/** Lends buffers for chunks, in memory that other threads can see too. */
export class BufferPool {
  readonly #free = new Map<number, SharedArrayBuffer[]>();
  #freeBytes = 0;

  /** A buffer of exactly this size, with whatever bytes were in it; if never given back, garbage. */
  take(size: number): Buffer {
    const least = capacityFor(size);
    // A larger one is better than fresh memory.
    for (let capacity = least; capacity <= 2 * least; capacity = capacityFor(capacity + 1)) {
      const memory = this.#free.get(capacity)?.pop();
      if (memory === undefined) continue;
      this.#freeBytes -= capacity;
      return Buffer.from(memory, 0, size);
    }
    return Buffer.from(new SharedArrayBuffer(least), 0, size);
  }

  /** Only for a buffer from take, once, when nobody uses it any more. */
  give(buffer: Buffer): void {
    const memory = buffer.buffer as SharedArrayBuffer;
    if (this.#freeBytes + memory.byteLength > KEEP_BYTES) return;
    this.#freeBytes += memory.byteLength;
    const free = this.#free.get(memory.byteLength);
    if (free === undefined) this.#free.set(memory.byteLength, [memory]);
    else free.push(memory);
  }
}

/** The next capacity at or above a size: 64 KiB, 80, 96, 112, 128, 160, … */
function capacityFor(size: number): number {
  if (size <= CAPACITY_MIN_BYTES) return CAPACITY_MIN_BYTES;
  const step = 2 ** (31 - Math.clz32(size - 1)) / STEPS;
  return Math.ceil(size / step) * step;
}
