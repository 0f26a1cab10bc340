import net from "node:net";
import tls from "node:tls";
import type { DataOffer } from "@slipway/proto";
import { type DataRequestFrame, encodeDataRequest } from "./data-frames.js";
import { PSK_TLS } from "./data-server.js";
import { ProtocolError } from "./frames.js";
import { type ResponseHandler, ResponseReader } from "./response-reader.js";
import type { Encryption } from "./types.js";
import { steadyNow } from "../steady-now.js";

/** Not reachable within this time: chunks come over the control stream, for now … */
const DIAL_MS = 1_000;
/** … as the other end may be busy: so long it may take. */
const DIAL_MAX_MS = 8_000;
/** After that it is tried again, less and less often. */
const RETRY_MS = 15_000;
const RETRY_MAX_MS = 5 * 60_000;
/** A sender that does not read is given up when so many bytes wait for it. */
const UNREAD_MAX_BYTES = 1024 * 1024;

export interface DataLinkEvents extends ResponseHandler {
  /** Asks the peer for an offer. */
  onNeedOffer: () => void;
  onProgress: (bytes: number) => void;
  /** The connection is up; `wait` is over. */
  onUp: () => void;
  /** What was asked over it won't come. Retried later by itself. */
  onDown: (error: Error) => void;
  /** A buffer from `begin` whose chunk won't be whole, also once this is closed. */
  onUnfinished: (buffer: Buffer) => void;
}

type State =
  | { kind: "idle" }
  /** For the offer, then for the connection. */
  | { kind: "dialling"; late: boolean; socket: net.Socket | undefined; timer: NodeJS.Timeout }
  | { kind: "up"; socket: net.Socket; since: number }
  | { kind: "unreachable"; retryAt: number }
  | { kind: "closed" };

/** The data connection on which one peer's chunks come. Dials when first needed. */
export class DataLink {
  readonly #encryption: Encryption;
  readonly #events: DataLinkEvents;
  #state: State = { kind: "idle" };
  #failures = 0;
  #unsaid: Buffer[] = [];
  /** Requests on this connection, also cancelled ones, for which nothing came. */
  #unanswered = 0;

  constructor(encryption: Encryption, events: DataLinkEvents) {
    this.#encryption = encryption;
    this.#events = events;
  }

  /** "up": ask here. "wait": it is being dialled. "unreachable": ask over the control stream. */
  ready(now: number): "up" | "wait" | "unreachable" {
    if (this.#state.kind === "up") return "up";
    if (this.#state.kind === "dialling") return this.#state.late ? "unreachable" : "wait";
    if (this.#state.kind === "closed") return "unreachable";
    if (this.#state.kind === "unreachable" && now < this.#state.retryAt) return "unreachable";
    const timer = setTimeout(() => this.#setLate(), DIAL_MS);
    this.#state = { kind: "dialling", late: false, socket: undefined, timer };
    this.#events.onNeedOffer();
    return "wait";
  }

  /** It was tried, and is not to be used yet. */
  get unreachable(): boolean {
    const state = this.#state;
    return state.kind === "unreachable" || (state.kind === "dialling" && state.late);
  }

  /** Says it soon, together with all that is said meanwhile; nothing if it isn't up. */
  say(frame: DataRequestFrame): void {
    if (this.#state.kind !== "up") return;
    if (this.#unsaid.length === 0) setImmediate(() => this.#flush());
    this.#unsaid.push(encodeDataRequest(frame));
    if (frame.kind === "request") this.#unanswered++;
  }

  /** The peer's answer. One that nobody waits for is ignored. */
  accept(offer: DataOffer): void {
    const state = this.#state;
    if (state.kind !== "dialling" || state.socket !== undefined) return;
    if (offer.key.length === 0 && this.#encryption !== "none") {
      this.#fail(new Error("the peer offers no encryption"));
      return;
    }
    const { host, port, identity } = offer;
    if (identity.length !== 16 || !net.isIPv4(host) || port < 1 || port > 65_535) {
      this.#fail(new Error("the peer's offer can't be used"));
      return;
    }
    state.socket = this.#dial(offer);
  }

  close(): void {
    const state = this.#state;
    this.#state = { kind: "closed" };
    if (state.kind === "dialling") {
      clearTimeout(state.timer);
      state.socket?.destroy();
    } else if (state.kind === "up") state.socket.destroy();
  }

  #dial(offer: DataOffer): net.Socket {
    const reader = new ResponseReader({
      begin: (requestId, chunk, size) => {
        if (this.#unanswered === 0) throw new ProtocolError("more answers than requests");
        return this.#events.begin(requestId, chunk, size);
      },
      refusal: (requestId, reason) => {
        this.#answered();
        this.#events.refusal(requestId, reason);
      },
      chunk: (requestId, bytes) => {
        this.#answered();
        this.#events.chunk(requestId, bytes);
        // After that, so that what is asked instead goes with it.
        this.say({ kind: "received", requestId });
      },
    });
    const { host, port } = offer;
    // The kernel, or TLS, writes straight into the chunk's buffer.
    const onread = {
      buffer: () => reader.target(),
      callback: (bytes: number) => {
        this.#received(socket, reader, bytes);
        return true;
      },
    };
    const plain = offer.key.length === 0;
    const socket = plain
      ? net.connect({ host, port, noDelay: true, onread })
      : tls.connect({
          host,
          port,
          onread,
          ...PSK_TLS,
          pskCallback: () => ({ psk: offer.key, identity: offer.identity.toString("hex") }),
          checkServerIdentity: () => undefined,
        } as tls.ConnectionOptions);
    socket.once(plain ? "connect" : "secureConnect", () => {
      if (plain) socket.write(offer.identity);
      else socket.setNoDelay(true);
      this.#up(socket);
    });
    let failure: Error | undefined;
    socket.on("error", (error) => (failure ??= error));
    socket.on("close", () => {
      if (reader.unfinished !== undefined) this.#events.onUnfinished(reader.unfinished);
      this.#lost(socket, failure ?? new Error("data connection closed"));
    });
    return socket;
  }

  #received(socket: net.Socket, reader: ResponseReader, bytes: number): void {
    if (this.#state.kind !== "up" || this.#state.socket !== socket) return;
    try {
      this.#events.onProgress(bytes);
      reader.advance(bytes);
    } catch (error) {
      if (!(error instanceof ProtocolError)) throw error;
      socket.destroy(error);
    }
  }

  #flush(): void {
    const unsaid = this.#unsaid;
    this.#unsaid = [];
    if (this.#state.kind !== "up") return;
    const { socket } = this.#state;
    socket.write(Buffer.concat(unsaid));
    if (socket.writableLength > UNREAD_MAX_BYTES) {
      socket.destroy(new ProtocolError("the peer does not read requests"));
    }
  }

  #answered(): void {
    if (--this.#unanswered < 0) throw new ProtocolError("more answers than requests");
  }

  #up(socket: net.Socket): void {
    if (this.#state.kind !== "dialling" || this.#state.socket !== socket) {
      socket.destroy();
      return;
    }
    clearTimeout(this.#state.timer);
    this.#state = { kind: "up", socket, since: steadyNow() };
    this.#unanswered = 0;
    this.#events.onUp();
  }

  #lost(socket: net.Socket, error: Error): void {
    const state = this.#state;
    if (state.kind === "dialling" && state.socket === socket) this.#fail(error);
    else if (state.kind === "up" && state.socket === socket) {
      if (steadyNow() - state.since < DIAL_MS) this.#giveUpFor();
      else {
        // It worked: dialled again at the next need.
        this.#failures = 0;
        this.#state = { kind: "idle" };
      }
      this.#events.onDown(error);
    }
  }

  #fail(error: Error): void {
    if (this.#state.kind !== "dialling") return;
    const { late, socket, timer } = this.#state;
    clearTimeout(timer);
    this.#giveUpFor();
    socket?.destroy();
    if (!late) this.#events.onDown(error);
  }

  #setLate(): void {
    if (this.#state.kind !== "dialling") return;
    const error = new Error("data connection timed out");
    this.#state.late = true;
    this.#state.timer = setTimeout(() => this.#fail(error), DIAL_MAX_MS - DIAL_MS);
    this.#events.onDown(error);
  }

  #giveUpFor(): void {
    const wait = Math.min(RETRY_MAX_MS, RETRY_MS * 2 ** this.#failures);
    this.#failures++;
    const retryAt = steadyNow() + wait * (0.75 + Math.random() / 2);
    this.#state = { kind: "unreachable", retryAt };
  }
}
