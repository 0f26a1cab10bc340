/** One bit a chunk, most significant first: which chunks somebody has. */
export class Bitfield {
  readonly size: number;
  /** The bits; unused ones at the end are 0. */
  readonly bytes: Buffer;
  #count = 0;

  /** Takes over `bytes`. RangeError if they don't fit the size or unused bits are set. */
  constructor(size: number, bytes: Buffer = Buffer.alloc(bitfieldBytes(size))) {
    if (bytes.length !== bitfieldBytes(size)) {
      throw new RangeError(
        `a bitfield of ${size} has ${bitfieldBytes(size)} bytes, not ${bytes.length}`,
      );
    }
    const unused = bytes.length * 8 - size;
    if (unused > 0 && ((bytes.at(-1) ?? 0) & ((1 << unused) - 1)) !== 0) {
      throw new RangeError("bits beyond the end are set");
    }
    this.size = size;
    this.bytes = bytes;
    for (const byte of bytes) this.#count += onesIn(byte);
  }

  /** How many bits are set. */
  get count(): number {
    return this.#count;
  }

  get full(): boolean {
    return this.#count === this.size;
  }

  has(index: number): boolean {
    return ((this.bytes[index >> 3] ?? 0) & (0x80 >> (index & 7))) !== 0;
  }

  /** False if the bit was set already. RangeError beyond the end. */
  set(index: number): boolean {
    if (!Number.isInteger(index) || index < 0 || index >= this.size) {
      throw new RangeError(`no bit ${index} in a bitfield of ${this.size}`);
    }
    if (this.has(index)) return false;
    this.bytes[index >> 3] = (this.bytes[index >> 3] ?? 0) | (0x80 >> (index & 7));
    this.#count++;
    return true;
  }

  /** False if the bit was not set. */
  clear(index: number): boolean {
    if (!this.has(index)) return false;
    this.bytes[index >> 3] = (this.bytes[index >> 3] ?? 0) & ~(0x80 >> (index & 7));
    this.#count--;
    return true;
  }

  copy(): Bitfield {
    return new Bitfield(this.size, Buffer.from(this.bytes));
  }
}

export const bitfieldBytes = (size: number): number => Math.ceil(size / 8);

function onesIn(byte: number): number {
  let ones = 0;
  for (let rest = byte; rest !== 0; rest &= rest - 1) ones++;
  return ones;
}
