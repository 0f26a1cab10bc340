import { ChunkRefusal_Reason as Reason } from "@slipway/proto";
import { Allowance } from "./allowance.js";
import { ProtocolError } from "./frames.js";
import type { Priority, Wanted } from "./priority.js";
import type { Uplink } from "./uplink.js";

/** How one connection's chunks leave: over a data connection or over the control stream. */
export interface ChunkSink {
  /** Whether the other end says which chunks it received; if not, one that has left counts so. */
  readonly acknowledged: boolean;
  /**
   * Hands a chunk to the network, and returns when its buffer may be used again. The first
   * CHUNK_HEADER_BYTES are room for a header.
   */
  chunk(requestId: number, chunk: number, framed: Buffer): Promise<void>;
  refusal(requestId: number, reason: Reason): Promise<void>;
}

export interface SendingLinkOptions {
  id: string;
  /** Who is at the other end. */
  peer: string;
  sink: ChunkSink;
  uplink: Uplink;
  /** Something may be sent now. */
  wake: () => void;
  /** A chunk that it was given unasked by number won't come to it. */
  returned: (digest: string, chunk: number) => void;
  /** The connection failed. */
  onError: (error: unknown) => void;
}

/** A chunk that the sender chose. */
interface Given {
  digest: string;
  chunk: number;
}

type Stage =
  | { kind: "waiting" }
  | { kind: "reading"; cancelled: boolean }
  | { kind: "sent"; given: Given | undefined };

/** Refusals that the other end has not read; an honest one reads. */
const UNREAD_REFUSALS_MAX = 4_096;
/**
 * An honest downloader is refused now and then, when it is told of room, or of chunks, too late, and
 * takes requests back when others are faster.
 */
const IN_VAIN = { burst: 16_384, perSecond: 512 };

/** What one connection has asked for, and holds its other end to the protocol. */
export class SendingLink {
  readonly id: string;
  readonly peer: string;
  readonly #options: SendingLinkOptions;
  readonly #stages = new Map<number, Stage>();
  readonly #inVain = new Allowance(IN_VAIN);
  #unreadRefusals = 0;
  #cancelsLeft = 0;
  #closed = false;

  constructor(options: SendingLinkOptions) {
    this.id = options.id;
    this.peer = options.peer;
    this.#options = options;
  }

  /** Whether a chunk is on its way. */
  get busy(): boolean {
    return [...this.#stages.values()].some(({ kind }) => kind === "sent");
  }

  /** Throws ProtocolError. */
  request(requestId: number, digest: string, chunk: Wanted, priority: Priority): void {
    if (this.#closed) return;
    if (this.#stages.has(requestId)) throw new ProtocolError(`request id ${requestId} is in use`);
    const request = { link: this.id, requestId, digest, chunk, priority };
    this.#cancelsLeft++;
    if (!this.#options.uplink.add(request)) {
      this.#sayNo(requestId, Reason.BUSY);
      return;
    }
    this.#stages.set(requestId, { kind: "waiting" });
    this.#options.wake();
  }

  /** A chunk that is being sent already comes in spite of it. Throws ProtocolError. */
  cancel(requestId: number): void {
    if (--this.#cancelsLeft < 0) throw new ProtocolError("more cancels than requests");
    this.#askedInVain();
    const stage = this.#stages.get(requestId);
    if (stage?.kind === "waiting") {
      this.#stages.delete(requestId);
      this.#options.uplink.cancel(this.id, requestId);
    } else if (stage?.kind === "reading") stage.cancelled = true;
    else if (stage?.kind === "sent") {
      this.#takeBack(stage.given);
      stage.given = undefined;
    }
  }

  /** The other end has all of a chunk. Throws ProtocolError. */
  received(requestId: number): void {
    if (this.#stages.get(requestId)?.kind !== "sent") {
      throw new ProtocolError(`no chunk was sent for request ${requestId}`);
    }
    this.#landed(requestId);
  }

  /** Its turn has come. */
  begin(requestId: number): void {
    this.#stages.set(requestId, { kind: "reading", cancelled: false });
  }

  /** Whether a chunk that is being read is still wanted. */
  wants(requestId: number): boolean {
    const stage = this.#stages.get(requestId);
    return stage?.kind === "reading" && !stage.cancelled;
  }

  /** Returns when the buffer may be used again. Never rejects. */
  async send(requestId: number, chunk: number, framed: Buffer, given?: Given): Promise<void> {
    const { sink, onError } = this.#options;
    // Before it is sent: the answer may be faster than the news that it left.
    this.#stages.set(requestId, { kind: "sent", given });
    try {
      await sink.chunk(requestId, chunk, framed);
      if (!sink.acknowledged && !this.#closed) this.#landed(requestId);
    } catch (error) {
      if (!this.#closed) onError(error);
    }
  }

  /** Nothing is sent for a request; without a reason, as it was cancelled. */
  drop(requestId: number, reason?: Reason): void {
    if (this.#closed) return;
    this.#stages.delete(requestId);
    this.#options.uplink.dropped(this.id, requestId, performance.now());
    this.#options.wake();
    try {
      if (reason !== undefined) this.#sayNo(requestId, reason);
    } catch (error) {
      this.#options.onError(error);
    }
  }

  close(): void {
    if (this.#closed) return;
    this.#closed = true;
    this.#options.uplink.removeLink(this.id);
    for (const stage of this.#stages.values()) {
      if (stage.kind === "sent") this.#takeBack(stage.given);
    }
    this.#stages.clear();
    this.#options.wake();
  }

  #landed(requestId: number): void {
    this.#stages.delete(requestId);
    this.#options.uplink.received(this.id, requestId, performance.now());
    this.#options.wake();
  }

  #takeBack(given: Given | undefined): void {
    if (given !== undefined) this.#options.returned(given.digest, given.chunk);
  }

  #askedInVain(): void {
    if (!this.#inVain.spend(performance.now())) throw new ProtocolError("asks in vain too often");
  }

  #sayNo(requestId: number, reason: Reason): void {
    if (++this.#unreadRefusals > UNREAD_REFUSALS_MAX) throw new ProtocolError("reads no refusals");
    this.#askedInVain();
    const { sink, onError } = this.#options;
    sink.refusal(requestId, reason).then(
      () => this.#unreadRefusals--,
      (error: unknown) => {
        if (!this.#closed) onError(error);
      },
    );
  }
}
