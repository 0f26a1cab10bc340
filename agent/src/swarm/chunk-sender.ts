import { ChunkRefusal_Reason as Reason } from "@slipway/proto";
import type { Logger } from "pino";
import type { BufferPool } from "./buffers.js";
import { CHUNK_HEADER_BYTES } from "./data-frames.js";
import type { Library } from "./library.js";
import type { Limiter } from "./limiter.js";

/** How chunks leave: over a data connection or over the control stream. */
export interface ChunkSink {
  /**
   * Hands a chunk to the network, and returns when its buffer may be used again. The first
   * CHUNK_HEADER_BYTES are room for a header.
   */
  chunk(requestId: number, framed: Buffer): Promise<void>;
  refusal(requestId: number, reason: Reason): Promise<void>;
}

export interface ChunkSenderOptions {
  sink: ChunkSink;
  library: Library;
  buffers: BufferPool;
  /** Of all senders together. */
  reads: Limiter;
  log: Logger;
  onSent: (bytes: number) => void;
  /** The connection failed. */
  onError: (error: unknown) => void;
  /** Chunks read or being sent at once: 2 reads one while the other is on its way. */
  parallel?: number;
}

/** More requests than this waiting are refused; a window of small chunks fits. */
const QUEUE_MAX = 1_024;

interface Waiting {
  requestId: number;
  digest: string;
  chunk: number;
}

/** Answers one peer's requests over one connection, one chunk after the other. */
export class ChunkSender {
  readonly #options: ChunkSenderOptions;
  #queue: Waiting[] = [];
  #running = 0;
  #closed = false;
  #turn: Promise<void> = Promise.resolve();

  constructor(options: ChunkSenderOptions) {
    this.#options = options;
  }

  request(requestId: number, digest: string, chunk: number): void {
    if (this.#closed) return;
    if (this.#queue.length >= QUEUE_MAX) {
      this.#refuse(requestId, Reason.BUSY).catch(this.#options.onError);
      return;
    }
    this.#queue.push({ requestId, digest, chunk });
    if (this.#running < (this.#options.parallel ?? 2)) void this.#run();
  }

  /** A chunk that is being sent already comes in spite of it. */
  cancel(requestId: number): void {
    this.#queue = this.#queue.filter((waiting) => waiting.requestId !== requestId);
  }

  close(): void {
    this.#closed = true;
    this.#queue = [];
  }

  async #run(): Promise<void> {
    this.#running++;
    try {
      for (let next = this.#queue.shift(); next !== undefined; next = this.#queue.shift()) {
        await this.#answer(next);
      }
    } catch (error) {
      if (!this.#closed) this.#options.onError(error);
      this.close();
    } finally {
      this.#running--;
    }
  }

  async #answer(waiting: Waiting): Promise<void> {
    const { requestId, digest, chunk } = waiting;
    const { buffers, library, reads } = this.#options;
    let framed: Buffer | undefined;
    try {
      await library.use(digest, async (shared) => {
        if (chunk >= shared.manifest.chunkCount || !shared.has(chunk)) return;
        const buffer = buffers.take(CHUNK_HEADER_BYTES + shared.manifest.sizeOf(chunk));
        await reads.run(() => shared.read(chunk, buffer.subarray(CHUNK_HEADER_BYTES)));
        framed = buffer;
      });
    } catch (error) {
      this.#options.log.error({ err: error, digest, chunk }, "reading a chunk to share failed");
      await this.#refuse(requestId, Reason.READ_FAILED);
      return;
    }
    if (framed === undefined) await this.#refuse(requestId, Reason.NOT_HELD);
    else await this.#send(requestId, framed);
  }

  async #send(requestId: number, framed: Buffer): Promise<void> {
    await this.#inTurn(() => this.#options.sink.chunk(requestId, framed));
    this.#options.onSent(framed.length - CHUNK_HEADER_BYTES);
    this.#options.buffers.give(framed);
  }

  #refuse(requestId: number, reason: Reason): Promise<void> {
    return this.#inTurn(() => this.#options.sink.refusal(requestId, reason));
  }

  /** Frames don't mix on the wire. */
  #inTurn(send: () => Promise<void>): Promise<void> {
    const sent = this.#turn.then(() => (this.#closed ? undefined : send()));
    this.#turn = sent.catch(() => undefined);
    return sent;
  }
}
