import type { ChunkPart, ChunkRefusal_Reason as Reason, DataOffer } from "@slipway/proto";
import { Role } from "@slipway/proto";
import type { BufferPool } from "./buffers.js";
import { ChunkParts } from "./chunk-parts.js";
import type { ChunkSender } from "./chunk-sender.js";
import { controlSink } from "./control-sink.js";
import { numberOfWanted, priorityOfRank, wantedOfNumber } from "./data-frames.js";
import { DataLink } from "./data-link.js";
import { type Control, ProtocolError } from "./frames.js";
import type { SignedMembership } from "./membership.js";
import type { Neighbour } from "./neighbour.js";
import { PRIORITY_RANK, type Priority, type Wanted } from "./priority.js";
import type { SendingLink } from "./sending-link.js";
import type { Encryption } from "./types.js";
import { steadyNow } from "../steady-now.js";

/** A chunk to ask for. */
export interface ChunkRequest {
  id: number;
  artifact: Buffer;
  chunk: Wanted;
  priority: Priority;
}

export interface PeerEvents {
  /** The size of this chunk under this request; "old" if it is owed no longer; undefined if never. */
  begins: (peer: Peer, requestId: number, chunk: number) => number | "old" | undefined;
  onChunk: (peer: Peer, requestId: number, bytes: Buffer, fallback: boolean) => void;
  onRefusal: (peer: Peer, requestId: number, reason: Reason) => void;
  onProgress: (peer: Peer, bytes: number) => void;
  /** Everything that was asked is lost; `slow` if chunks come over the control stream now. */
  onLost: (peer: Peer, slow: boolean, error: Error) => void;
  onUp: (peer: Peer) => void;
}

export interface PeerOptions {
  encryption: Encryption;
  buffers: BufferPool;
  events: PeerEvents;
  sender: ChunkSender;
}

/** A neighbour that is a member: where chunks are asked of it, and over which way they come. */
export class Peer {
  readonly neighbour: Neighbour;
  /** By its newest certificate. */
  membership: SignedMembership;
  /** Its home cell. */
  readonly cell: string;
  readonly #options: PeerOptions;
  readonly #link: DataLink;
  /** What it asks over the control stream. */
  readonly #fallback: SendingLink;
  /** Asked while the data connection is being dialled. */
  #waiting: ChunkRequest[] = [];
  readonly #parts: ChunkParts;
  #closed = false;

  constructor(
    neighbour: Neighbour,
    membership: SignedMembership,
    cell: string,
    options: PeerOptions,
  ) {
    const { events, buffers, encryption } = options;
    this.neighbour = neighbour;
    this.membership = membership;
    this.cell = cell;
    this.#options = options;
    this.#link = new DataLink(encryption, {
      onNeedOffer: () => neighbour.send({ $case: "dataRequest", value: {} }),
      onProgress: (bytes) => events.onProgress(this, bytes),
      onUp: () => this.#up(),
      onDown: (error) => this.#down(error),
      onUnfinished: (buffer) => buffers.give(buffer),
      begin: (requestId, chunk, size) => this.#begin(requestId, chunk, size),
      chunk: (requestId, bytes) => {
        if (bytes !== undefined) events.onChunk(this, requestId, bytes, false);
      },
      refusal: (requestId, reason) => events.onRefusal(this, requestId, reason),
    });
    this.#parts = new ChunkParts(buffers, (requestId, chunk) =>
      events.begins(this, requestId, chunk),
    );
    this.#fallback = options.sender.open(neighbour.id, controlSink(neighbour), (error) =>
      neighbour.close(error instanceof Error ? error : new Error(String(error))),
    );
  }

  get id(): string {
    return this.neighbour.id;
  }

  get seeder(): boolean {
    return this.membership.role === Role.REGION;
  }

  ask(request: ChunkRequest): void {
    const { id: requestId, artifact, chunk, priority } = request;
    switch (this.#link.ready(steadyNow())) {
      case "up":
        this.#link.say({ kind: "request", requestId, artifact, chunk, priority });
        break;
      case "wait":
        this.#waiting.push(request);
        break;
      case "unreachable": {
        this.#parts.ask(requestId);
        const wire = { chunk: numberOfWanted(chunk), priority: PRIORITY_RANK[priority] };
        this.neighbour.send({ $case: "chunkRequest", value: { requestId, artifact, ...wire } });
        break;
      }
    }
  }

  withdraw(requestId: number): void {
    const waiting = this.#waiting.findIndex(({ id }) => id === requestId);
    if (waiting >= 0) this.#waiting.splice(waiting, 1);
    else if (this.#parts.forget(requestId)) {
      this.neighbour.send({ $case: "chunkCancel", value: { requestId } });
    } else this.#link.say({ kind: "cancel", requestId });
  }

  acceptOffer(offer: DataOffer): void {
    this.#link.accept(offer);
  }

  /** What the peer asks over the control stream. Throws ProtocolError. */
  serve(message: Control & { $case: "chunkRequest" | "chunkCancel" }, digest: string): void {
    const { value } = message;
    if (message.$case === "chunkCancel") this.#fallback.cancel(value.requestId);
    else {
      const { requestId, chunk, priority } = message.value;
      const rank = priorityOfRank(priority);
      this.#fallback.request(requestId, digest, wantedOfNumber(chunk), rank);
    }
  }

  /** Part of a chunk that came over the control stream. Throws ProtocolError. */
  acceptPart(part: ChunkPart): void {
    const { events } = this.#options;
    // Some of a chunk that is no longer wanted are on their way; not many.
    if (this.#parts.has(part.requestId)) events.onProgress(this, part.data.length);
    else this.neighbour.tolerate();
    const bytes = this.#parts.accept(part);
    if (bytes !== undefined) events.onChunk(this, part.requestId, bytes, true);
  }

  refuse(requestId: number, reason: Reason): void {
    this.#parts.forget(requestId);
    this.#options.events.onRefusal(this, requestId, reason);
  }

  close(): void {
    if (this.#closed) return;
    this.#closed = true;
    this.#link.close();
    this.#options.sender.close(this.#fallback);
    this.#waiting = [];
    this.#parts.clear();
  }

  #begin(requestId: number, chunk: number, size: number): Buffer | undefined {
    const expected = this.#options.events.begins(this, requestId, chunk);
    if (expected === "old") return undefined;
    if (expected !== size) {
      throw new ProtocolError(`chunk ${chunk} of ${size} bytes, not ${expected}`);
    }
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
