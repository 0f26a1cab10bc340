/** Buffers are kept for reuse up to this many bytes: fresh memory costs a page fault each 4 KiB. */
const KEEP_BYTES = 32 * 1024 * 1024;
const STEP_BYTES = 64 * 1024;

/** Lends buffers for chunks, which other threads can see too. One that is never given back is only garbage. */
export class BufferPool {
  readonly #free = new Map<number, SharedArrayBuffer[]>();
  #freeBytes = 0;

  /** A buffer of exactly this size, with whatever bytes were in it. */
  take(size: number): Buffer {
    const capacity = Math.ceil(size / STEP_BYTES) * STEP_BYTES;
    const memory = this.#free.get(capacity)?.pop();
    if (memory === undefined) return Buffer.from(new SharedArrayBuffer(capacity), 0, size);
    this.#freeBytes -= capacity;
    return Buffer.from(memory, 0, size);
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
