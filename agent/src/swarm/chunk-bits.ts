/** A set of chunks: one bit each, laid out like a Bitfield, but chunks can be taken out again. */
export class ChunkBits {
  readonly bytes: Uint8Array;
  #size = 0;

  /** Holds numbers below `capacity`. */
  constructor(capacity: number) {
    this.bytes = new Uint8Array(Math.ceil(capacity / 8));
  }

  get size(): number {
    return this.#size;
  }

  has(chunk: number): boolean {
    return ((this.bytes[chunk >> 3] ?? 0) & (0x80 >> (chunk & 7))) !== 0;
  }

  /** False if it was in already. */
  add(chunk: number): boolean {
    if (this.has(chunk)) return false;
    this.bytes[chunk >> 3] = (this.bytes[chunk >> 3] ?? 0) | (0x80 >> (chunk & 7));
    this.#size++;
    return true;
  }

  /** False if it was not in. */
  delete(chunk: number): boolean {
    if (!this.has(chunk)) return false;
    this.bytes[chunk >> 3] = (this.bytes[chunk >> 3] ?? 0) & ~(0x80 >> (chunk & 7));
    this.#size--;
    return true;
  }
}
