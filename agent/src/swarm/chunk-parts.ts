import type { ChunkPart } from "@slipway/proto";
import type { BufferPool } from "./buffers.js";
import { ProtocolError } from "./frames.js";

interface Parts {
  chunk: number;
  into: Buffer;
  filled: number;
}

/** Chunks that were asked for over the control stream, and what came of them so far. */
export class ChunkParts {
  readonly #buffers: BufferPool;
  readonly #begins: (requestId: number, chunk: number) => number | "old" | undefined;
  readonly #asked = new Map<number, Parts | undefined>();

  /** `begins`: the size to expect of a chunk under a request; "old" if it is no longer wanted. */
  constructor(
    buffers: BufferPool,
    begins: (requestId: number, chunk: number) => number | "old" | undefined,
  ) {
    this.#buffers = buffers;
    this.#begins = begins;
  }

  ask(requestId: number): void {
    this.#asked.set(requestId, undefined);
  }

  has(requestId: number): boolean {
    return this.#asked.has(requestId);
  }

  /** False if it was not asked for here. */
  forget(requestId: number): boolean {
    const parts = this.#asked.get(requestId);
    if (parts !== undefined) this.#buffers.give(parts.into);
    return this.#asked.delete(requestId);
  }

  clear(): void {
    for (const requestId of this.#asked.keys()) this.forget(requestId);
  }

  /** The chunk once it is whole. Throws ProtocolError. */
  accept({ requestId, chunk, offset, data }: ChunkPart): Buffer | undefined {
    if (!this.#asked.has(requestId)) {
      if (this.#begins(requestId, chunk) !== undefined) return undefined;
      throw new ProtocolError("a chunk part that nobody asked for");
    }
    const parts = this.#asked.get(requestId) ?? this.#begin(requestId, chunk);
    if (parts === undefined) return undefined;
    if (chunk !== parts.chunk || offset !== parts.filled || data.length === 0) {
      throw new ProtocolError("a chunk part out of order");
    }
    if (offset + data.length > parts.into.length)
      throw new ProtocolError("a chunk that is too long");
    parts.into.set(data, offset);
    parts.filled += data.length;
    if (parts.filled < parts.into.length) return undefined;
    this.#asked.delete(requestId);
    return parts.into;
  }

  #begin(requestId: number, chunk: number): Parts | undefined {
    const size = this.#begins(requestId, chunk);
    if (size === undefined) throw new ProtocolError(`chunk ${chunk}, which was not asked for`);
    if (size === "old") {
      this.#asked.delete(requestId);
      return undefined;
    }
    const parts = { chunk, into: this.#buffers.take(size), filled: 0 };
    this.#asked.set(requestId, parts);
    return parts;
  }
}
