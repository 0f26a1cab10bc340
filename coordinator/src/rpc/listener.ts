import { createServer, type Server as NetServer, type Socket } from "node:net";
import type { Server, ServerCredentials } from "@grpc/grpc-js";
import type { Stats } from "../stats.js";

/** Connections at once. */
const MAX_CONNECTIONS = 10_000;
/** A connection on which nobody was let in for so long is closed. */
const PROVE_MS = 20_000;

/** The port: bounds what callers cost that have not proved who they are. */
export class Listener {
  readonly #net: NetServer;
  /** Those that have yet to prove who they are, by address and port. */
  readonly #unproved = new Map<string, { socket: Socket; timer: NodeJS.Timeout }>();
  readonly #stats: Stats;

  constructor(server: Server, credentials: ServerCredentials, stats: Stats) {
    this.#stats = stats;
    const injector = server.createConnectionInjector(credentials);
    this.#net = createServer({ noDelay: true }, (socket) => {
      this.#watch(socket);
      injector.injectConnection(socket);
    });
    this.#net.maxConnections = MAX_CONNECTIONS;
    this.#net.on("drop", () => stats.connections.add("full"));
  }

  /** Answers the port. @throws Error with a one-line reason. */
  listen({ host, port }: { host: string; port: number }): Promise<number> {
    return new Promise((resolve, reject) => {
      this.#net.once("error", (error) => {
        const reason = `cannot listen on ${host}:${port}: ${error.message}`;
        reject(new Error(reason, { cause: error }));
      });
      this.#net.listen({ host, port }, () => {
        const bound = this.#net.address();
        resolve(typeof bound === "object" && bound !== null ? bound.port : port);
      });
    });
  }

  /** Somebody was let in over the connection of this peer: it may stay. */
  proved(peer: string): void {
    const waiting = this.#unproved.get(peer);
    if (waiting === undefined) return;
    clearTimeout(waiting.timer);
    this.#unproved.delete(peer);
  }

  /** Takes no more connections. May be called twice. */
  close(): void {
    this.#net.close();
    for (const { timer } of this.#unproved.values()) clearTimeout(timer);
  }

  #watch(socket: Socket): void {
    const peer = `${socket.remoteAddress}:${socket.remotePort}`;
    const timer = setTimeout(() => {
      this.#unproved.delete(peer);
      this.#stats.connections.add("silent");
      socket.destroy();
    }, PROVE_MS);
    this.#unproved.set(peer, { socket, timer });
    socket.on("close", () => {
      if (this.#unproved.get(peer)?.socket === socket) this.proved(peer);
    });
    // A connection that breaks in its handshake has nobody else to hear of it.
    socket.on("error", () => undefined);
  }
}
