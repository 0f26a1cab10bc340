import { createHash } from "node:crypto";

/** How long chunks are, in bytes. */
export interface CutSizes {
  /** No chunk but the last is shorter. */
  min: number;
  /** From here on a chunk's end is found more easily, so that most are about this long. */
  normal: number;
  /** No chunk is longer. */
  max: number;
}

const KIB = 1024;
const MIB = 1024 * KIB;

/**
 * Where to cut an artifact of so many bytes. An edit costs its own bytes and about one chunk, and a
 * host passes on what it has whole, so chunks should be small; each costs 34 bytes of manifest, a
 * request and a hash of its own, so they should be large. A model of a rack says how long 24 hosts
 * take for 64 MiB at 50 Mbit/s, over what their links alone need: 1.40 with chunks of 1 MiB, 1.26
 * with 512 KiB, 1.20 with 256 KiB, 1.12 with 128 KiB. An artifact of 10 GiB has a manifest of 0.4 MB.
 * Processor time it does not count: on a real rack of 25 processes on 2 cores 128 KiB take 1.75, and
 * 256 KiB 1.49. There are three classes and no more, as builds of two classes share next to nothing.
 */
export function cutSizesFor(sizeBytes: number): CutSizes {
  if (sizeBytes <= 128 * MIB) return around(256 * KIB);
  if (sizeBytes <= 512 * MIB) return around(512 * KIB);
  return around(MIB);
}

const around = (normal: number): CutSizes => ({ min: normal / 2, normal, max: normal * 2 });

/** Past the normal length a chunk's end is so many times as likely, as a power of two. */
const EASIER_BITS = 3;
/** The rolling hash has 32 bits and loses one with each byte. */
const WINDOW_BYTES = 32;

/**
 * Finds the ends of chunks by what is there (a gear hash of the last 32 bytes has its upper bits
 * zero), so that an insertion moves the ends near it and no other. The same content is cut in the
 * same places for ever: digests depend on it.
 */
export class Cutter {
  readonly #sizes: CutSizes;
  /** One place in about the normal length has all bits of the strict mask zero. */
  readonly #strictMask: number;
  readonly #looseMask: number;
  /** Of the chunk so far. */
  #length = 0;
  #hash = 0;

  constructor(sizes: CutSizes) {
    this.#sizes = sizes;
    const bits = Math.round(Math.log2(sizes.normal));
    this.#strictMask = upperBits(bits);
    this.#looseMask = upperBits(bits - EASIER_BITS);
  }

  /**
   * Goes on with the content from `block[from]`. Returns the index after the chunk's last byte, or
   * undefined if the chunk does not end in this block.
   */
  cut(block: Uint8Array, from: number): number | undefined {
    const { min, normal, max } = this.#sizes;
    // Where in the block the chunk began, which may be before it.
    const start = from - this.#length;
    const within = (length: number): number => Math.min(block.length, start + length);
    const skipped = Math.max(from, within(min - WINDOW_BYTES));
    const warmed = this.#roll(block, skipped, within(min - 1), 0);
    const strict = this.#roll(block, warmed, within(normal), this.#strictMask);
    if (strict < 0) return this.#end(-strict);
    const loose = this.#roll(block, strict, within(max), this.#looseMask);
    if (loose < 0) return this.#end(-loose);
    this.#length = loose - start;
    return this.#length === max ? this.#end(loose) : undefined;
  }

  #end(at: number): number {
    this.#length = 0;
    this.#hash = 0;
    return at;
  }

  /**
   * Hashes up to `end`, and returns it; or minus the index after a byte where the mask's bits are
   * all zero. With an empty mask there is no such place.
   */
  #roll(block: Uint8Array, from: number, end: number, mask: number): number {
    let hash = this.#hash;
    for (let at = from; at < end; at++) {
      hash = ((hash << 1) + (GEAR[block[at] as number] as number)) | 0;
      if ((hash & mask) === 0 && mask !== 0) return -(at + 1);
    }
    this.#hash = hash;
    return Math.max(from, end);
  }
}

/** Of 32, as the rolling hash's lower bits depend on few bytes. */
function upperBits(count: number): number {
  return -1 << (32 - count);
}

/** A number for each byte: the first four of the SHA-256 of "slipway gear" and that byte. */
const GEAR = Int32Array.from({ length: 256 }, (_, byte) =>
  createHash("sha256").update("slipway gear").update(Uint8Array.of(byte)).digest().readInt32BE(0),
);
