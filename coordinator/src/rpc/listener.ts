import { createServer, type Server as NetServer, type Socket } from "node:net";
import type { Server, ServerCredentials } from "@grpc/grpc-js";
import { Door, addressOf } from "@slipway/proto/admission";
import type { ConnectionLimits } from "../connection-limits.js";
import type { Stats } from "../stats.js";
import { type Sessions, sessionsOf } from "./sessions.js";

/** How often it is looked at what strangers have sent. */
const LOOK_MS = 250;

interface ListenerOptions {
  server: Server;
  credentials: ServerCredentials;
  limits: ConnectionLimits;
  stats: Stats;
  log: { error(fields: object, message: string): void };
}

/** The port: bounds what callers cost that have not proved who they are. */
export class Listener {
  readonly #net: NetServer;
  readonly #limits: ConnectionLimits;
  readonly #stats: Stats;
  /** Those that have yet to prove who they are. */
  readonly #door: Door<Socket>;
  /** The same, by address and port. */
  readonly #strangers = new Map<string, Socket>();
  /** How many connections each address has. */
  readonly #addresses = new Map<string, number>();
  readonly #sessions: Sessions;
  #looking: NodeJS.Timeout | undefined;

  constructor({ server, credentials, limits, stats, log }: ListenerOptions) {
    this.#limits = limits;
    this.#stats = stats;
    this.#door = new Door({
      limits: limits.strangers,
      close: (socket) => socket.destroy(),
      onRefused: (reason) => stats.connections.add(reason === "late" ? "silent" : reason),
    });
    const injector = server.createConnectionInjector(credentials);
    this.#sessions = sessionsOf(server);
    this.#net = createServer({ noDelay: true }, (socket) => {
      // A connection that breaks in its handshake has nobody else to hear of it.
      socket.on("error", () => undefined);
      if (this.#admit(socket)) injector.injectConnection(socket);
      else socket.destroy();
    });
    this.#net.maxConnections = limits.all;
    this.#net.on("drop", () => stats.connections.add("full"));
    this.#net.on("error", (err) => {
      if (this.#net.listening) log.error({ err }, "the port failed");
    });
  }

  /** Answers the port. @throws Error with a one-line reason. */
  listen({ host, port }: { host: string; port: number }): Promise<number> {
    return new Promise((resolve, reject) => {
      this.#net.once("error", (error) => {
        const reason = `cannot listen on ${host}:${port}: ${error.message}`;
        reject(new Error(reason, { cause: error }));
      });
      this.#net.listen({ host, port }, () => {
        this.#looking = setInterval(() => this.#look(), LOOK_MS).unref();
        const bound = this.#net.address();
        resolve(typeof bound === "object" && bound !== null ? bound.port : port);
      });
    });
  }

  /** Connections, and those of them over which nobody was let in yet. */
  get counts(): { connections: number; strangers: number; addresses: number } {
    let connections = 0;
    for (const count of this.#addresses.values()) connections += count;
    return { connections, strangers: this.#door.size, addresses: this.#addresses.size };
  }

  /** Somebody was let in over the connection of this peer: it may stay, and ask more at once. */
  proved(peer: string): void {
    const socket = this.#strangers.get(peer);
    if (socket === undefined) return;
    this.#strangers.delete(peer);
    this.#door.leave(socket);
    this.#sessions.trust(peer);
  }

  /** Takes no more connections. May be called twice. */
  close(): void {
    clearInterval(this.#looking);
    this.#net.close();
    this.#door.stop();
  }

  #admit(socket: Socket): boolean {
    const { remoteAddress, remotePort } = socket;
    // It is gone already.
    if (remoteAddress === undefined) return false;
    const address = addressOf(remoteAddress, "without-port");
    const own = this.#addresses.get(address) ?? 0;
    if (own >= this.#limits.each) {
      this.#stats.connections.add("address_full");
      return false;
    }
    if (!this.#door.enter(socket, address)) return false;
    const peer = `${remoteAddress}:${remotePort}`;
    this.#addresses.set(address, own + 1);
    this.#strangers.set(peer, socket);
    socket.on("close", () => {
      this.#door.leave(socket);
      if (this.#strangers.get(peer) === socket) this.#strangers.delete(peer);
      const left = (this.#addresses.get(address) ?? 1) - 1;
      if (left > 0) this.#addresses.set(address, left);
      else this.#addresses.delete(address);
    });
    return true;
  }

  /** Whoever is not known yet has no reason to send more than one message. */
  #look(): void {
    let sent = 0;
    const sockets = [...this.#door.waiting()].sort((a, b) => a.bytesRead - b.bytesRead);
    for (const socket of sockets) {
      sent += socket.bytesRead;
      const isTooMuch = socket.bytesRead > this.#limits.strangerBytes.each;
      if (!isTooMuch && sent <= this.#limits.strangerBytes.all) continue;
      sent -= socket.bytesRead;
      this.#stats.connections.add("bytes");
      socket.destroy();
    }
  }
}
