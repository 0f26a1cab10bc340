import { CHUNK_MAX_BYTES, type ChunkRefusal_Reason as Reason } from "@slipway/proto";
import { HASH_BYTES } from "../store/manifest.js";
import { ProtocolError } from "./frames.js";

// The data connection's headers, as at the foot of swarm.proto.

const REQUEST = 1;
const CANCEL = 2;
const CHUNK = 1;
const REFUSAL = 2;
const REQUEST_BYTES = 1 + 4 + HASH_BYTES + 4;
const CANCEL_BYTES = 5;
const REFUSAL_BYTES = 6;
/** Bytes before a chunk's own. */
export const CHUNK_HEADER_BYTES = 9;

export function encodeRequest(requestId: number, artifact: Uint8Array, chunk: number): Buffer {
  const frame = Buffer.allocUnsafe(REQUEST_BYTES);
  frame.writeUInt8(REQUEST, 0);
  frame.writeUInt32BE(requestId, 1);
  frame.set(artifact, 5);
  frame.writeUInt32BE(chunk, 5 + HASH_BYTES);
  return frame;
}

export function encodeCancel(requestId: number): Buffer {
  const frame = Buffer.allocUnsafe(CANCEL_BYTES);
  frame.writeUInt8(CANCEL, 0);
  frame.writeUInt32BE(requestId, 1);
  return frame;
}

/** Writes a chunk's header into the first CHUNK_HEADER_BYTES of `into`. */
export function writeChunkHeader(into: Buffer, requestId: number, size: number): void {
  into.writeUInt8(CHUNK, 0);
  into.writeUInt32BE(requestId, 1);
  into.writeUInt32BE(size, 5);
}

export function encodeRefusal(requestId: number, reason: Reason): Buffer {
  const frame = Buffer.allocUnsafe(REFUSAL_BYTES);
  frame.writeUInt8(REFUSAL, 0);
  frame.writeUInt32BE(requestId, 1);
  frame.writeUInt8(reason, 5);
  return frame;
}

export type DataRequestFrame =
  | { kind: "request"; requestId: number; artifact: Buffer; chunk: number }
  | { kind: "cancel"; requestId: number };

/** Reads what a downloader says. Holds one header at most. */
export class RequestReader {
  #pending: Buffer = Buffer.alloc(0);

  /** Throws ProtocolError for an unknown type. */
  *push(data: Buffer): Generator<DataRequestFrame> {
    this.#pending = this.#pending.length === 0 ? data : Buffer.concat([this.#pending, data]);
    for (let type = this.#pending[0]; type !== undefined; type = this.#pending[0]) {
      if (type !== REQUEST && type !== CANCEL) throw new ProtocolError(`data request type ${type}`);
      const length = type === REQUEST ? REQUEST_BYTES : CANCEL_BYTES;
      if (this.#pending.length < length) return;
      const frame = this.#pending.subarray(0, length);
      this.#pending = this.#pending.subarray(length);
      const requestId = frame.readUInt32BE(1);
      if (type === CANCEL) yield { kind: "cancel", requestId };
      else {
        const artifact = Buffer.from(frame.subarray(5, 5 + HASH_BYTES));
        yield { kind: "request", requestId, artifact, chunk: frame.readUInt32BE(5 + HASH_BYTES) };
      }
    }
  }
}

export interface ResponseHandler {
  /**
   * Where a chunk's bytes go: a buffer of exactly `size`; undefined to throw them away. Throws
   * ProtocolError if such a chunk was never asked for.
   */
  begin(requestId: number, size: number): Buffer | undefined;
  /** The chunk is whole; not called for one that was thrown away. */
  chunk(requestId: number, bytes: Buffer): void;
  refusal(requestId: number, reason: Reason): void;
}

type ResponseState =
  | { kind: "header"; filled: number; needed: number }
  | { kind: "chunk"; requestId: number; into: Buffer; filled: number }
  | { kind: "discard"; left: number };

const DISCARD_BYTES = 64 * 1024;

/**
 * Reads what a sender says straight into the chunks' buffers: put the next bytes at the start of
 * target(), then say how many with advance().
 */
export class ResponseReader {
  readonly #handler: ResponseHandler;
  readonly #header = Buffer.alloc(CHUNK_HEADER_BYTES);
  #discarded: Buffer | undefined;
  #state: ResponseState = { kind: "header", filled: 0, needed: REFUSAL_BYTES };

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
      if (state.left === 0) this.#reset();
    }
  }

  #readHeader(state: { needed: number }): void {
    const type = this.#header.readUInt8(0);
    const requestId = this.#header.readUInt32BE(1);
    if (type === REFUSAL) {
      this.#reset();
      this.#handler.refusal(requestId, this.#header.readUInt8(5));
    } else if (type !== CHUNK) throw new ProtocolError(`data response type ${type}`);
    else if (state.needed < CHUNK_HEADER_BYTES) state.needed = CHUNK_HEADER_BYTES;
    else this.#beginChunk(requestId, this.#header.readUInt32BE(5));
  }

  #beginChunk(requestId: number, size: number): void {
    if (size < 1 || size > CHUNK_MAX_BYTES) throw new ProtocolError(`a chunk of ${size} bytes`);
    const into = this.#handler.begin(requestId, size);
    this.#state =
      into === undefined
        ? { kind: "discard", left: size }
        : { kind: "chunk", requestId, into, filled: 0 };
  }

  #reset(): void {
    this.#state = { kind: "header", filled: 0, needed: REFUSAL_BYTES };
  }
}
