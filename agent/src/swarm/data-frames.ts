import { ANY_CHUNK, type ChunkRefusal_Reason as Reason } from "@slipway/proto";
import { HASH_BYTES } from "../store/manifest.js";
import { ProtocolError } from "./frames.js";
import { PRIORITY_RANK, type Priority, type Wanted } from "./priority.js";

// The data connection's headers, as at the foot of swarm.proto.

const REQUEST = 1;
const CANCEL = 2;
const RECEIVED = 3;
const REQUEST_BYTES = 1 + 4 + HASH_BYTES + 4 + 1;
const ID_BYTES = 5;

export const CHUNK = 1;
export const REFUSAL = 2;
/** Bytes before a chunk's own. */
export const CHUNK_HEADER_BYTES = 13;
export const REFUSAL_BYTES = 6;

/** What a downloader says. */
export type DataRequestFrame =
  | { kind: "request"; requestId: number; artifact: Buffer; chunk: Wanted; priority: Priority }
  | { kind: "cancel"; requestId: number }
  | { kind: "received"; requestId: number };

export function encodeDataRequest(frame: DataRequestFrame): Buffer {
  if (frame.kind !== "request") {
    const bytes = Buffer.allocUnsafe(ID_BYTES);
    bytes.writeUInt8(frame.kind === "cancel" ? CANCEL : RECEIVED, 0);
    bytes.writeUInt32BE(frame.requestId, 1);
    return bytes;
  }
  const bytes = Buffer.allocUnsafe(REQUEST_BYTES);
  bytes.writeUInt8(REQUEST, 0);
  bytes.writeUInt32BE(frame.requestId, 1);
  bytes.set(frame.artifact, 5);
  bytes.writeUInt32BE(numberOfWanted(frame.chunk), 5 + HASH_BYTES);
  bytes.writeUInt8(PRIORITY_RANK[frame.priority], 9 + HASH_BYTES);
  return bytes;
}

/** Writes a chunk's header into the first CHUNK_HEADER_BYTES of `framed`, whose rest is the chunk. */
export function writeChunkHeader(framed: Buffer, requestId: number, chunk: number): void {
  framed.writeUInt8(CHUNK, 0);
  framed.writeUInt32BE(requestId, 1);
  framed.writeUInt32BE(chunk, 5);
  framed.writeUInt32BE(framed.length - CHUNK_HEADER_BYTES, 9);
}

export function encodeRefusal(requestId: number, reason: Reason): Buffer {
  const frame = Buffer.allocUnsafe(REFUSAL_BYTES);
  frame.writeUInt8(REFUSAL, 0);
  frame.writeUInt32BE(requestId, 1);
  frame.writeUInt8(reason, 5);
  return frame;
}

/** Reads what a downloader says. Holds less than one header. */
export class RequestReader {
  #pending: Buffer = Buffer.alloc(0);

  /** Throws ProtocolError for an unknown type or priority; nothing may be pushed after that. */
  *push(data: Buffer): Generator<DataRequestFrame> {
    const bytes = this.#pending.length === 0 ? data : Buffer.concat([this.#pending, data]);
    let at = 0;
    for (let type = bytes[at]; type !== undefined; type = bytes[at]) {
      const length = lengthOf(type);
      if (bytes.length - at < length) break;
      yield decode(bytes.subarray(at, at + length));
      at += length;
    }
    this.#pending = Buffer.from(bytes.subarray(at));
  }
}

function lengthOf(type: number): number {
  if (type === REQUEST) return REQUEST_BYTES;
  if (type === CANCEL || type === RECEIVED) return ID_BYTES;
  throw new ProtocolError(`data request type ${type}`);
}

function decode(frame: Buffer): DataRequestFrame {
  const type = frame.readUInt8(0);
  const requestId = frame.readUInt32BE(1);
  if (type === CANCEL) return { kind: "cancel", requestId };
  if (type === RECEIVED) return { kind: "received", requestId };
  return {
    kind: "request",
    requestId,
    artifact: Buffer.from(frame.subarray(5, 5 + HASH_BYTES)),
    chunk: wantedOfNumber(frame.readUInt32BE(5 + HASH_BYTES)),
    priority: priorityOfRank(frame.readUInt8(9 + HASH_BYTES)),
  };
}

/** How a chunk is asked for on the wire. */
export const numberOfWanted = (chunk: Wanted): number => (chunk === "any" ? ANY_CHUNK : chunk);

export const wantedOfNumber = (chunk: number): Wanted => (chunk === ANY_CHUNK ? "any" : chunk);

/** Throws ProtocolError. */
export function priorityOfRank(rank: number): Priority {
  const priorities = Object.keys(PRIORITY_RANK) as Priority[];
  const priority = priorities.find((known) => PRIORITY_RANK[known] === rank);
  if (priority === undefined) throw new ProtocolError(`priority ${rank}`);
  return priority;
}
