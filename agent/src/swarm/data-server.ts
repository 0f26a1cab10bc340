import net from "node:net";
import tls from "node:tls";
import type { ChunkRefusal_Reason as Reason } from "@slipway/proto";
import { Door, type DoorLimits, addressOf } from "@slipway/proto/admission";
import type { Logger } from "pino";
import { digestFromBytes } from "../store/manifest.js";
import type { ChunkSender } from "./chunk-sender.js";
import {
  type DataRequestFrame,
  RequestReader,
  encodeRefusal,
  writeChunkHeader,
} from "./data-frames.js";
import { ProtocolError } from "./frames.js";
import { OfferBook, type Offer } from "./offers.js";
import type { RefusalReason } from "./refusals.js";
import type { ChunkSink, SendingLink } from "./sending-link.js";
import type { Address, Encryption } from "./types.js";
import { steadyNow } from "../steady-now.js";

/** PSK without a key exchange of its own: the secret is random, for one connection, and came over Noise. */
export const PSK_TLS = {
  ciphers: "PSK-AES128-GCM-SHA256",
  minVersion: "TLSv1.2",
  maxVersion: "TLSv1.2",
} as const;

const IDENTITY_BYTES = 16;
/** The kernel may hold a whole chunk: so long the largest takes over 0.1 Mbit/s, and then some. */
const STUCK_MS = 5 * 60_000;
/** Data connections of one peer. */
const PER_PEER = 2;

export interface DataServerOptions {
  listen: Address;
  encryption: Encryption;
  /** Most connections at once. */
  maxConnections: number;
  /** Those that have not shown a secret yet. */
  strangers: DoorLimits;
  onRefused: (reason: RefusalReason) => void;
  sender: ChunkSender;
  log: Logger;
  /** Whether this peer may fetch chunks still: its handshake may end after drop(). */
  serves: (peer: string) => boolean;
  onProtocolError: (peer: string, error: ProtocolError) => void;
  /** The peer closed a connection, or its process ended. */
  onClosed: (peer: string) => void;
  /** A chunk that gets no further for so long is not being read. Default: 300,000. */
  stuckMs?: number;
}

/** Where peers that know a fresh secret fetch chunks from. */
export class DataServer {
  readonly #options: DataServerOptions;
  readonly #offers = new OfferBook();
  readonly #server: net.Server;
  readonly #sockets = new Map<net.Socket, string | undefined>();
  readonly #door: Door<net.Socket>;
  /** What is at the door, by address and port; TLS has another socket for it. */
  readonly #waiting = new Map<string, net.Socket>();

  constructor(options: DataServerOptions) {
    this.#options = options;
    const { strangers, onRefused } = options;
    this.#door = new Door({
      limits: strangers,
      close: (socket) => socket.destroy(),
      onRefused: (reason) => onRefused(`data_${reason}`),
    });
    this.#server = options.encryption === "none" ? this.#plain() : this.#secure();
    this.#server.maxConnections = options.maxConnections;
  }

  /** Throws if the port is taken. */
  async listen(): Promise<void> {
    const { host, port } = this.#options.listen;
    await new Promise<void>((resolve, reject) => {
      this.#server.once("error", reject);
      this.#server.listen(port, host, () => {
        this.#server.off("error", reject);
        this.#server.on("error", (err) => this.#options.log.error({ err }, "data server failed"));
        resolve();
      });
    });
  }

  /** A secret for one connection; undefined if the peer has too many open. The key is empty on plain TCP. */
  offer(peer: string): { identity: Buffer; key: Buffer } | undefined {
    const offer = this.#offers.issue(peer, steadyNow());
    if (offer === undefined) return undefined;
    const key = this.#options.encryption === "none" ? Buffer.alloc(0) : offer.key;
    return { identity: offer.identity, key };
  }

  /** Connections that have not shown a secret yet. */
  get waiting(): number {
    return this.#door.size;
  }

  /** Ends what a peer has here. */
  drop(peer: string): void {
    this.#offers.forget(peer);
    for (const [socket, owner] of this.#sockets) if (owner === peer) socket.destroy();
  }

  async close(): Promise<void> {
    for (const socket of this.#sockets.keys()) socket.destroy();
    this.#door.stop();
    if (!this.#server.listening) return;
    await new Promise<void>((resolve) => this.#server.close(() => resolve()));
  }

  #plain(): net.Server {
    return net.createServer({ noDelay: true }, (socket) => {
      if (this.#admit(socket)) this.#greet(socket);
    });
  }

  #secure(): net.Server {
    const taken = new WeakMap<net.Socket, Offer>();
    const server = tls.createServer(
      {
        ...PSK_TLS,
        handshakeTimeout: this.#options.strangers.proveMs,
        pskCallback: (socket, identity) => {
          const offer = this.#offers.take(identity, steadyNow());
          if (offer === undefined) {
            this.#options.onRefused("data_secret");
            return null;
          }
          taken.set(socket, offer);
          return offer.key;
        },
      },
      (socket) => {
        const offer = taken.get(socket);
        if (offer === undefined) socket.destroy();
        else this.#serve(socket, offer.peer);
      },
    );
    server.on("tlsClientError", (err, socket) => {
      this.#options.log.debug({ err }, "data handshake failed");
      // Node leaves one that was late as it is.
      socket.destroy();
    });
    // TLS is not to see what is refused.
    return net.createServer((socket) => {
      if (this.#admit(socket)) server.emit("connection", socket);
    });
  }

  /** False: it is closed. */
  #admit(socket: net.Socket): boolean {
    this.#track(socket, undefined);
    const { remoteAddress } = socket;
    const isInvited = this.#offers.isOpen(steadyNow());
    if (!isInvited) this.#options.onRefused("data_uninvited");
    if (
      !isInvited ||
      remoteAddress === undefined ||
      !this.#door.enter(socket, addressOf(remoteAddress, "without-port"))
    ) {
      socket.destroy();
      return false;
    }
    const from = endOf(socket);
    this.#waiting.set(from, socket);
    socket.on("close", () => {
      this.#door.leave(socket);
      if (this.#waiting.get(from) === socket) this.#waiting.delete(from);
    });
    return true;
  }

  #track(socket: net.Socket, peer: string | undefined): void {
    if (!this.#sockets.has(socket)) {
      socket.on("close", () => this.#sockets.delete(socket));
      socket.on("error", (err) => this.#options.log.debug({ err, peer }, "data connection failed"));
    }
    this.#sockets.set(socket, peer);
  }

  /** On plain TCP the dialler says the identity first. */
  #greet(socket: net.Socket): void {
    let said: Buffer = Buffer.alloc(0);
    const onData = (data: Buffer): void => {
      said = Buffer.concat([said, data]);
      if (said.length < IDENTITY_BYTES) return;
      socket.off("data", onData);
      const identity = said.subarray(0, IDENTITY_BYTES).toString("hex");
      const offer = this.#offers.take(identity, steadyNow());
      if (offer === undefined) {
        this.#options.onRefused("data_secret");
        socket.destroy();
      } else this.#serve(socket, offer.peer, said.subarray(IDENTITY_BYTES));
    };
    socket.on("data", onData);
  }

  #serve(socket: net.Socket, peer: string, first?: Buffer): void {
    const { sender, log, serves, onProtocolError } = this.#options;
    const from = endOf(socket);
    const waiting = this.#waiting.get(from);
    this.#waiting.delete(from);
    if (waiting !== undefined) this.#door.leave(waiting);
    if (!serves(peer)) {
      socket.destroy();
      return;
    }
    this.#retireOldest(peer);
    this.#track(socket, peer);
    socket.setNoDelay(true);
    const fail = (error: unknown): void => {
      log.debug({ err: error, peer }, "sending chunks failed");
      socket.destroy();
      if (error instanceof ProtocolError) onProtocolError(peer, error);
    };
    const link = sender.open(peer, socketSink(socket), fail);
    const reader = new RequestReader();
    const receive = (data: Buffer): void => {
      try {
        for (const frame of reader.push(data)) take(link, frame);
      } catch (error) {
        if (!(error instanceof ProtocolError)) throw error;
        fail(error);
      }
    };
    // Also counts as idle: a chunk that the other end does not read.
    socket.setTimeout(this.#options.stuckMs ?? STUCK_MS, () => {
      if (link.busy) fail(new ProtocolError("the peer does not read chunks"));
    });
    socket.on("close", () => {
      sender.close(link);
      this.#options.onClosed(peer);
    });
    socket.on("data", receive);
    if (first !== undefined && first.length > 0) receive(first);
  }

  /** One that its other end has lost may be open here still; more than that are not needed. */
  #retireOldest(peer: string): void {
    const own = [...this.#sockets].filter(([, owner]) => owner === peer).map(([socket]) => socket);
    for (const socket of own.slice(0, Math.max(0, own.length + 1 - PER_PEER))) socket.destroy();
  }
}

const endOf = ({ remoteAddress, remotePort }: net.Socket): string =>
  `${remoteAddress}:${remotePort}`;

function take(link: SendingLink, frame: DataRequestFrame): void {
  const { requestId } = frame;
  if (frame.kind === "cancel") link.cancel(requestId);
  else if (frame.kind === "received") link.received(requestId);
  else link.request(requestId, digestFromBytes(frame.artifact), frame.chunk, frame.priority);
}

/** One write at a time: TLS copies what waits behind another, all into one piece. */
function socketSink(socket: net.Socket): ChunkSink {
  let turn: Promise<void> = Promise.resolve();
  const write = (bytes: Buffer): Promise<void> => {
    turn = turn.then(
      () =>
        new Promise((resolve, reject) => {
          socket.write(bytes, (error) => (error ? reject(error) : resolve()));
        }),
    );
    return turn;
  };
  return {
    acknowledged: true,
    chunk: (requestId, chunk, framed) => {
      writeChunkHeader(framed, requestId, chunk);
      return write(framed);
    },
    refusal: (requestId: number, reason: Reason) => write(encodeRefusal(requestId, reason)),
  };
}
