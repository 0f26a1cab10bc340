import type {
  ChunkPart,
  ChunkRefusal_Reason as Reason,
  DataOffer,
  Membership,
} from "@slipway/proto";
import { CHUNK_MAX_BYTES, Role } from "@slipway/proto";
import type { BufferPool } from "./buffers.js";
import { ChunkSender, type ChunkSenderOptions, type ChunkSink } from "./chunk-sender.js";
import { CHUNK_HEADER_BYTES } from "./data-frames.js";
import { DataLink } from "./data-link.js";
import { type Control, ProtocolError } from "./frames.js";
import type { Neighbour } from "./neighbour.js";
import type { Encryption } from "./types.js";

/** Bytes of a chunk in one message of the control stream. */
const PART_BYTES = 64 * 1024;

/** A chunk to ask for. */
export interface ChunkRequest {
  id: number;
  artifact: Buffer;
  chunk: number;
}

export interface PeerEvents {
  /** Size of the chunk that is still owed under this id; "old" if no longer; undefined if never. */
  expected: (peer: Peer, requestId: number) => number | "old" | undefined;
  onChunk: (peer: Peer, requestId: number, bytes: Buffer, fallback: boolean) => void;
  onRefusal: (peer: Peer, requestId: number, reason: Reason) => void;
  onProgress: (peer: Peer) => void;
  /** Everything that was asked is lost; `slow` if chunks come over the control stream now. */
  onLost: (peer: Peer, slow: boolean, error: Error) => void;
  onUp: (peer: Peer) => void;
}

export interface PeerOptions {
  encryption: Encryption;
  buffers: BufferPool;
  events: PeerEvents;
  sender: Omit<ChunkSenderOptions, "sink" | "onError">;
}

/** A neighbour that is a member: where chunks are asked of it, and over which way they come. */
export class Peer {
  readonly neighbour: Neighbour;
  readonly membership: Membership;
  /** Its home cell. */
  readonly cell: string;
  readonly #options: PeerOptions;
  readonly #link: DataLink;
  readonly #sender: ChunkSender;
  /** Asked while the data connection is being dialled. */
  #waiting: ChunkRequest[] = [];
  /** Asked over the control stream, and what came of it. */
  readonly #parts = new Map<number, { into: Buffer | undefined; filled: number }>();
  #closed = false;

  constructor(neighbour: Neighbour, membership: Membership, cell: string, options: PeerOptions) {
    const { events, buffers, encryption } = options;
    this.neighbour = neighbour;
    this.membership = membership;
    this.cell = cell;
    this.#options = options;
    this.#link = new DataLink(encryption, {
      onNeedOffer: () => neighbour.send({ $case: "dataRequest", value: {} }),
      onProgress: () => events.onProgress(this),
      onUp: () => this.#up(),
      onDown: (error, unfinished) => {
        if (unfinished !== undefined) buffers.give(unfinished);
        this.#down(error);
      },
      begin: (requestId, size) => this.#begin(requestId, size),
      chunk: (requestId, bytes) => events.onChunk(this, requestId, bytes, false),
      refusal: (requestId, reason) => events.onRefusal(this, requestId, reason),
    });
    this.#sender = new ChunkSender({
      ...options.sender,
      sink: controlSink(neighbour),
      parallel: 1,
      onError: (error) =>
        neighbour.close(error instanceof Error ? error : new Error(String(error))),
    });
  }

  get id(): string {
    return this.neighbour.id;
  }

  get seeder(): boolean {
    return this.membership.role === Role.REGION;
  }

  ask(request: ChunkRequest): void {
    switch (this.#link.ready(Date.now())) {
      case "up":
        this.#link.request(request.id, request.artifact, request.chunk);
        break;
      case "wait":
        this.#waiting.push(request);
        break;
      case "unreachable":
        this.#parts.set(request.id, { into: undefined, filled: 0 });
        this.neighbour.send({
          $case: "chunkRequest",
          value: { requestId: request.id, artifact: request.artifact, chunk: request.chunk },
        });
        break;
    }
  }

  withdraw(requestId: number): void {
    this.#waiting = this.#waiting.filter((request) => request.id !== requestId);
    const part = this.#parts.get(requestId);
    if (part === undefined) {
      this.#link.cancel(requestId);
      return;
    }
    this.#parts.delete(requestId);
    if (part.into !== undefined) this.#options.buffers.give(part.into);
    this.neighbour.send({ $case: "chunkCancel", value: { requestId } });
  }

  acceptOffer(offer: DataOffer): void {
    this.#link.accept(offer);
  }

  /** What the peer asks over the control stream. Throws ProtocolError. */
  serve(message: Control & { $case: "chunkRequest" | "chunkCancel" }, digest: string): void {
    if (message.$case === "chunkCancel") this.#sender.cancel(message.value.requestId);
    else this.#sender.request(message.value.requestId, digest, message.value.chunk);
  }

  /** Part of a chunk that came over the control stream. Throws ProtocolError. */
  acceptPart(message: ChunkPart): void {
    const { events } = this.#options;
    const part = this.#parts.get(message.requestId);
    if (part === undefined) {
      if (events.expected(this, message.requestId) === undefined) {
        throw new ProtocolError("a chunk part that nobody asked for");
      }
      return;
    }
    const size = events.expected(this, message.requestId);
    if (typeof size !== "number" || message.offset !== part.filled || message.data.length === 0) {
      throw new ProtocolError("a chunk part out of order");
    }
    if (part.filled + message.data.length > size)
      throw new ProtocolError("a chunk that is too long");
    events.onProgress(this);
    part.into ??= this.#options.buffers.take(size);
    part.into.set(message.data, part.filled);
    part.filled += message.data.length;
    if (part.filled < size) return;
    this.#parts.delete(message.requestId);
    events.onChunk(this, message.requestId, part.into, true);
  }

  refuse(requestId: number, reason: Reason): void {
    this.#parts.delete(requestId);
    this.#options.events.onRefusal(this, requestId, reason);
  }

  close(): void {
    if (this.#closed) return;
    this.#closed = true;
    this.#link.close();
    this.#sender.close();
    this.#waiting = [];
    this.#parts.clear();
  }

  #begin(requestId: number, size: number): Buffer | undefined {
    const expected = this.#options.events.expected(this, requestId);
    if (expected === "old" && size <= CHUNK_MAX_BYTES) return undefined;
    if (expected !== size) throw new ProtocolError(`a chunk of ${size} bytes, not ${expected}`);
    return this.#options.buffers.take(size);
  }

  #up(): void {
    this.#options.events.onUp(this);
    const waiting = this.#waiting;
    this.#waiting = [];
    for (const request of waiting) this.ask(request);
  }

  #down(error: Error): void {
    if (this.#closed) return;
    this.#waiting = [];
    this.#parts.clear();
    if (error instanceof ProtocolError) this.neighbour.close(error);
    else this.#options.events.onLost(this, this.#link.unreachable, error);
  }
}

function controlSink(neighbour: Neighbour): ChunkSink {
  return {
    chunk: async (requestId, framed) => {
      const chunk = framed.subarray(CHUNK_HEADER_BYTES);
      for (let offset = 0; offset < chunk.length; offset += PART_BYTES) {
        const data = chunk.subarray(offset, offset + PART_BYTES);
        neighbour.send({ $case: "chunkPart", value: { requestId, offset, data } });
        await neighbour.drained();
      }
    },
    refusal: async (requestId: number, reason: Reason) => {
      neighbour.send({ $case: "chunkRefusal", value: { requestId, reason } });
      await neighbour.drained();
    },
  };
}
