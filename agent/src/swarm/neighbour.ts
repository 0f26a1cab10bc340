import type { NoiseStream } from "hyperswarm";
import { Allowance } from "./allowance.js";
import {
  ControlDecoder,
  type Control,
  FloodError,
  ProtocolError,
  encodeControl,
} from "./frames.js";

/** A peer that does not read is dropped when so many bytes wait for it. */
const QUEUE_MAX_BYTES = 8 * 1024 * 1024;
const HELLO_MS = 3_000;
const FINISH_MS = 1_000;
/** Messages, of an honest peer a few for each artifact and 50 HAVEs a second. */
const MESSAGES = { burst: 8_192, perSecond: 1_024 };

export interface NeighbourEvents {
  /** Its first message must be a hello; throws to refuse it. */
  onHello: (neighbour: Neighbour, message: Control) => void;
  onMessage: (neighbour: Neighbour, message: Control) => void;
  /** Once, however it ends; the error says why if this side ended it. */
  onClose: (neighbour: Neighbour, error: Error | undefined) => void;
}

type State = { kind: "greeting"; timer: NodeJS.Timeout } | { kind: "open" } | { kind: "closed" };

/** One connection of the control plane: frames in and out, bounded both ways. */
export class Neighbour {
  /** The peer's public key in hex. */
  readonly id: string;
  readonly publicKey: Buffer;
  readonly #stream: NoiseStream;
  readonly #events: NeighbourEvents;
  readonly #decoder = new ControlDecoder();
  readonly #messages = new Allowance(MESSAGES);
  #state: State;
  #queue: Buffer[] = [];
  #queuedBytes = 0;
  #blocked = false;
  #drained: (() => void)[] = [];
  #error: Error | undefined;

  constructor(stream: NoiseStream, events: NeighbourEvents) {
    this.publicKey = stream.remotePublicKey;
    this.id = stream.remotePublicKey.toString("hex");
    this.#stream = stream;
    this.#events = events;
    const late = (): void => this.close(new ProtocolError("no hello"));
    this.#state = { kind: "greeting", timer: setTimeout(late, HELLO_MS) };
    stream.on("data", (data: Buffer) => this.#receive(data));
    stream.on("drain", () => this.#drain());
    stream.on("error", (error: Error) => (this.#error ??= error));
    stream.on("close", () => this.#closed());
  }

  /** The address it is connected from. */
  get address(): { host: string; port: number } {
    return { host: this.#stream.rawStream.remoteHost, port: this.#stream.rawStream.remotePort };
  }

  get isOpen(): boolean {
    return this.#state.kind === "open";
  }

  /** Queues a message; closes the connection if too much waits already. */
  send(message: Control): void {
    if (this.#state.kind === "closed") return;
    const frame = encodeControl(message);
    if (!this.#blocked) {
      this.#blocked = !this.#stream.write(frame);
      return;
    }
    this.#queue.push(frame);
    this.#queuedBytes += frame.length;
    if (this.#queuedBytes > QUEUE_MAX_BYTES)
      this.close(new ProtocolError("the peer does not read"));
  }

  /** Resolves when nothing waits to be sent, or the connection is closed. */
  async drained(): Promise<void> {
    if (!this.#blocked || this.#state.kind === "closed") return;
    await new Promise<void>((resolve) => this.#drained.push(resolve));
  }

  /** Counts what a peer should not say often. Throws FloodError if it is too often. */
  tolerate(weight = 1): void {
    if (this.#messages.spend(performance.now(), weight)) return;
    throw new FloodError("too many messages");
  }

  /** Nothing more is taken from the peer, but it still gets what was said. */
  finish(error: Error): void {
    if (this.#state.kind === "closed") return;
    this.#error ??= error;
    const unsent = this.#queue;
    this.#closed();
    for (const frame of unsent) this.#stream.write(frame);
    this.#stream.end();
    const timer = setTimeout(() => this.#stream.destroy(), FINISH_MS).unref();
    this.#stream.on("close", () => clearTimeout(timer));
  }

  close(error?: Error): void {
    if (this.#state.kind === "closed") return;
    this.#error ??= error;
    this.#stream.destroy();
    this.#closed();
  }

  #receive(data: Buffer): void {
    try {
      for (const message of this.#decoder.push(data)) {
        const state = this.#state;
        if (state.kind === "closed") return;
        if (message.$case !== "chunkPart") this.tolerate(weightOf(message));
        if (state.kind === "open") this.#events.onMessage(this, message);
        else {
          if (message.$case !== "hello") throw new ProtocolError(`${message.$case} before hello`);
          clearTimeout(state.timer);
          this.#state = { kind: "open" };
          this.#events.onHello(this, message);
          this.#decoder.trust();
        }
      }
    } catch (error) {
      this.close(error instanceof Error ? error : new Error(String(error)));
    }
  }

  #drain(): void {
    this.#blocked = false;
    while (!this.#blocked) {
      const frame = this.#queue.shift();
      if (frame === undefined) break;
      this.#queuedBytes -= frame.length;
      this.#blocked = !this.#stream.write(frame);
    }
    if (!this.#blocked) this.#wake();
  }

  #wake(): void {
    const waiting = this.#drained;
    this.#drained = [];
    for (const resolve of waiting) resolve();
  }

  #closed(): void {
    if (this.#state.kind === "closed") return;
    if (this.#state.kind === "greeting") clearTimeout(this.#state.timer);
    this.#state = { kind: "closed" };
    this.#queue = [];
    this.#wake();
    this.#events.onClose(this, this.#error);
  }
}

/** What a message costs to take in and to answer, beside that of a short one. */
function weightOf(message: Control): number {
  switch (message.$case) {
    case "availability":
      return 1 + message.value.bitfield.length / 1_024;
    case "have":
      return 1 + message.value.chunks.length / 256;
    case "interest":
      // A look at the disk, and a bitfield.
      return 4;
    case "manifestRequest":
      // A quarter of a mebibyte to send.
      return 16;
    case "dataRequest":
      return 16;
    case "badChunk":
      // A chunk to read and hash.
      return 32;
    case "renewal":
      // A signature to check.
      return 64;
    case "peerList":
      // Peers to dial; an honest one has as much to say every other second.
      return 512;
    default:
      return 1;
  }
}
