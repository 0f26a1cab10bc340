import { ChunkRefusal_Reason as Reason } from "@slipway/proto";
import type { Logger } from "pino";
import type { BufferPool } from "./buffers.js";
import { CHUNK_HEADER_BYTES } from "./data-frames.js";
import type { Giver } from "./giver.js";
import type { Library, Shared } from "./library.js";
import { Limiter } from "./limiter.js";
import { type ChunkSink, SendingLink } from "./sending-link.js";
import { Uplink, type UplinkRequest } from "./uplink.js";

export interface ChunkSenderOptions {
  library: Library;
  buffers: BufferPool;
  /** Chooses for those who leave the choice to this peer; without it they get nothing. */
  giver: Giver | undefined;
  /** Over all connections together. */
  maxBytesPerSecond: number | undefined;
  log: Logger;
  onSent: (bytes: number) => void;
}

type Outcome = { chunk: number; framed: Buffer } | { refusal: Reason };

/** As many as there are threads for it: more would only end in another order. */
const READS_AT_ONCE = 4;

/** Sends what the uplink says, over all connections: reads chunks, and hands them to their links. */
export class ChunkSender {
  readonly #options: ChunkSenderOptions;
  readonly #uplink: Uplink;
  readonly #reads = new Limiter(READS_AT_ONCE);
  readonly #links = new Map<string, SendingLink>();
  #nextLink = 1;
  #woken = false;
  #timer: NodeJS.Timeout | undefined;
  #closed = false;

  constructor(options: ChunkSenderOptions) {
    const { maxBytesPerSecond } = options;
    this.#options = options;
    this.#uplink = new Uplink(
      maxBytesPerSecond === undefined ? {} : { bytesPerSecond: maxBytesPerSecond },
    );
  }

  /** A connection on which a peer may ask for chunks, until it is closed. */
  open(peer: string, sink: ChunkSink, onError: (error: unknown) => void): SendingLink {
    const link = new SendingLink({
      id: String(this.#nextLink++),
      peer,
      sink,
      uplink: this.#uplink,
      wake: () => this.#wake(),
      returned: (digest, chunk) => this.#options.giver?.returned(peer, digest, chunk),
      onError,
    });
    this.#links.set(link.id, link);
    return link;
  }

  close(link: SendingLink): void {
    this.#links.delete(link.id);
    link.close();
  }

  stop(): void {
    this.#closed = true;
    clearTimeout(this.#timer);
    for (const link of this.#links.values()) this.close(link);
  }

  /** Sends soon, once for all that happens meanwhile. */
  #wake(): void {
    if (this.#woken || this.#closed) return;
    this.#woken = true;
    queueMicrotask(() => {
      this.#woken = false;
      this.#send();
    });
  }

  #send(): void {
    clearTimeout(this.#timer);
    if (this.#closed) return;
    const now = performance.now();
    for (const request of this.#uplink.next(now)) {
      const link = this.#links.get(request.link);
      if (link === undefined) continue;
      link.begin(request.requestId);
      void this.#answer(link, request);
    }
    const at = this.#uplink.wakeAt(now);
    if (at !== undefined) this.#timer = setTimeout(() => this.#send(), Math.max(1, at - now));
  }

  /** Never rejects. */
  async #answer(link: SendingLink, request: UplinkRequest): Promise<void> {
    const { requestId, digest } = request;
    const { buffers, onSent } = this.#options;
    const outcome = await this.#read(link, request);
    if ("refusal" in outcome) {
      link.drop(requestId, outcome.refusal);
      return;
    }
    const { chunk, framed } = outcome;
    const given = request.chunk === "any" ? { digest, chunk } : undefined;
    if (link.wants(requestId)) {
      onSent(framed.length - CHUNK_HEADER_BYTES);
      await link.send(requestId, chunk, framed, given);
    } else {
      link.drop(requestId);
      if (given !== undefined) this.#options.giver?.returned(link.peer, digest, chunk);
    }
    buffers.give(framed);
  }

  /** Never rejects. */
  async #read(link: SendingLink, request: UplinkRequest): Promise<Outcome> {
    const { library, log } = this.#options;
    const { digest, chunk } = request;
    try {
      const outcome = await library.use(digest, (shared) => this.#readFrom(shared, link, request));
      return outcome ?? { refusal: Reason.NOT_HELD };
    } catch (error) {
      log.error({ err: error, digest, chunk }, "reading a chunk to share failed");
      return { refusal: Reason.READ_FAILED };
    }
  }

  async #readFrom(shared: Shared, link: SendingLink, request: UplinkRequest): Promise<Outcome> {
    const { buffers, giver } = this.#options;
    const { requestId, digest } = request;
    const any = request.chunk === "any";
    const chunk = this.#choose(shared, link, request);
    if (chunk === undefined) return { refusal: any ? Reason.NOTHING_NEW : Reason.NOT_HELD };
    const size = shared.manifest.sizeOf(chunk);
    this.#uplink.sending(link.id, requestId, chunk, size, performance.now());
    try {
      return await this.#reads.run(async () => {
        const framed = buffers.take(CHUNK_HEADER_BYTES + size);
        try {
          await shared.read(chunk, framed.subarray(CHUNK_HEADER_BYTES));
        } catch (error) {
          buffers.give(framed);
          throw error;
        }
        return { chunk, framed };
      });
    } catch (error) {
      if (any) giver?.returned(link.peer, digest, chunk);
      throw error;
    }
  }

  #choose(shared: Shared, link: SendingLink, request: UplinkRequest): number | undefined {
    const { manifest, complete } = shared;
    const { chunk, digest } = request;
    if (chunk === "any") {
      return complete
        ? this.#options.giver?.pick(link.peer, digest, manifest.chunkCount)
        : undefined;
    }
    return chunk < manifest.chunkCount && shared.has(chunk) ? chunk : undefined;
  }
}
