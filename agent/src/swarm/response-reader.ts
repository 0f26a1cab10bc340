import { ANY_CHUNK, CHUNK_MAX_BYTES, type ChunkRefusal_Reason as Reason } from "@slipway/proto";
import { CHUNK, CHUNK_HEADER_BYTES, REFUSAL, REFUSAL_BYTES } from "./data-frames.js";
import { ProtocolError } from "./frames.js";

export interface ResponseHandler {
  /**
   * Where a chunk's bytes go: a buffer of exactly `size`; undefined to throw them away. Throws
   * ProtocolError if such a chunk was never asked for.
   */
  begin(requestId: number, chunk: number, size: number): Buffer | undefined;
  /** The chunk is whole; without bytes if it was thrown away. */
  chunk(requestId: number, bytes: Buffer | undefined): void;
  refusal(requestId: number, reason: Reason): void;
}

type State =
  | { kind: "header"; filled: number; needed: number }
  | { kind: "chunk"; requestId: number; into: Buffer; filled: number }
  | { kind: "discard"; requestId: number; left: number };

const DISCARD_BYTES = 64 * 1024;

/**
 * Reads what a sender says straight into the chunks' buffers: put the next bytes at the start of
 * target(), then say how many with advance().
 */
export class ResponseReader {
  readonly #handler: ResponseHandler;
  readonly #header = Buffer.alloc(CHUNK_HEADER_BYTES);
  #discarded: Buffer | undefined;
  #state: State = { kind: "header", filled: 0, needed: REFUSAL_BYTES };

  constructor(handler: ResponseHandler) {
    this.#handler = handler;
  }

  /** The buffer that is being filled with a chunk, for its owner to take back after a failure. */
  get unfinished(): Buffer | undefined {
    return this.#state.kind === "chunk" ? this.#state.into : undefined;
  }

  /** Never empty: a socket that is given an empty buffer fails. */
  target(): Buffer {
    const state = this.#state;
    if (state.kind === "header") return this.#header.subarray(state.filled, state.needed);
    if (state.kind === "chunk") return state.into.subarray(state.filled);
    this.#discarded ??= Buffer.allocUnsafe(DISCARD_BYTES);
    return this.#discarded.subarray(0, Math.min(state.left, DISCARD_BYTES));
  }

  /** Throws ProtocolError; nothing may be read after that. */
  advance(bytes: number): void {
    const state = this.#state;
    if (state.kind === "header") {
      state.filled += bytes;
      if (state.filled === state.needed) this.#readHeader(state);
    } else if (state.kind === "chunk") {
      state.filled += bytes;
      if (state.filled < state.into.length) return;
      this.#reset();
      this.#handler.chunk(state.requestId, state.into);
    } else {
      state.left -= bytes;
      if (state.left > 0) return;
      this.#reset();
      this.#handler.chunk(state.requestId, undefined);
    }
  }

  #readHeader(state: { needed: number }): void {
    const type = this.#header.readUInt8(0);
    if (type === REFUSAL) {
      this.#reset();
      this.#handler.refusal(this.#header.readUInt32BE(1), this.#header.readUInt8(5));
    } else if (type !== CHUNK) throw new ProtocolError(`data response type ${type}`);
    else if (state.needed < CHUNK_HEADER_BYTES) state.needed = CHUNK_HEADER_BYTES;
    else this.#beginChunk();
  }

  #beginChunk(): void {
    const requestId = this.#header.readUInt32BE(1);
    const chunk = this.#header.readUInt32BE(5);
    const size = this.#header.readUInt32BE(9);
    if (size < 1 || size > CHUNK_MAX_BYTES) throw new ProtocolError(`a chunk of ${size} bytes`);
    if (chunk === ANY_CHUNK) throw new ProtocolError("a chunk without a number");
    const into = this.#handler.begin(requestId, chunk, size);
    this.#state =
      into === undefined
        ? { kind: "discard", requestId, left: size }
        : { kind: "chunk", requestId, into, filled: 0 };
  }

  #reset(): void {
    this.#state = { kind: "header", filled: 0, needed: REFUSAL_BYTES };
  }
}
