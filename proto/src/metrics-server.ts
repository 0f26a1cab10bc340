import { type IncomingMessage, type Server, type ServerResponse, createServer } from "node:http";
import type { Socket } from "node:net";
import { Door, addressOf } from "./admission/index.js";

/** A scraper needs one connection. Of more than these the oldest is closed, of who has most. */
const ROOM = { each: 32, all: 64 };
const RATE = { each: { burst: 500, perSecond: 50 }, all: { burst: 1_000, perSecond: 100 } };
const REQUEST_MS = 5_000;
/** How often it is looked whose request takes longer. */
const CHECK_MS = 1_000;
const IDLE_MS = 65_000;
const MAX_HEADER_BYTES = 8 * 1024;

/** Metrics cannot be served at this address, most often because its port is taken. */
export class MetricsListenError extends Error {
  override readonly name = "MetricsListenError";
}

/** Where the metrics come from; a Registry of prom-client is one. */
export interface MetricsSource {
  readonly contentType: string;
  metrics(): Promise<string>;
}

export interface MetricsServerOptions {
  /** Port 0: any that is free. */
  listen: { host: string; port: number };
  source: MetricsSource;
  log: MetricsLog;
}

/** As far as a pino logger is needed. */
export interface MetricsLog {
  info(fields: object, message: string): void;
  error(fields: object, message: string): void;
}

/** Tells Prometheus the source's metrics at /metrics, and anybody at /healthz whether all is up. */
export class MetricsServer {
  readonly #source: MetricsSource;
  readonly #server: Server;
  readonly #door: Door<Socket>;
  /** Connections that were closed, by why. */
  readonly refused = { rate: 0, crowded: 0, late: 0 };
  #ready = false;
  #scrape: Promise<string> | undefined;
  #stopped: Promise<void> | undefined;

  private constructor(source: MetricsSource, log: MetricsLog) {
    this.#source = source;
    this.#server = createServer(
      {
        requestTimeout: REQUEST_MS,
        headersTimeout: REQUEST_MS,
        connectionsCheckingInterval: CHECK_MS,
        keepAliveTimeout: IDLE_MS,
        maxHeaderSize: MAX_HEADER_BYTES,
      },
      (request, response) => {
        this.#answer(request, response).catch((error: unknown) => {
          log.error({ err: error }, "metrics cannot be told");
          respond(response, 500, "metrics cannot be told\n");
        });
      },
    );
    this.#door = new Door({
      limits: { rate: RATE, room: ROOM },
      close: (socket) => socket.destroy(),
      onRefused: (reason) => this.refused[reason]++,
    });
    this.#server.on("connection", (socket) => this.#admit(socket));
    // Nothing is read of more.
    this.#server.maxConnections = ROOM.all + 1;
  }

  /** Connections that are open. */
  get connections(): number {
    return this.#door.size;
  }

  #admit(socket: Socket): void {
    const { remoteAddress } = socket;
    if (
      remoteAddress === undefined ||
      !this.#door.enter(socket, addressOf(remoteAddress, "without-port"))
    ) {
      socket.destroy();
      return;
    }
    socket.on("close", () => this.#door.leave(socket));
  }

  /** Throws MetricsListenError. */
  static async start({ listen, source, log }: MetricsServerOptions): Promise<MetricsServer> {
    const made = new MetricsServer(source, log);
    const { host, port } = listen;
    await new Promise<void>((resolve, reject) => {
      made.#server.once("error", (cause) => {
        reject(new MetricsListenError(`metrics cannot be served at ${host}:${port}`, { cause }));
      });
      made.#server.listen(port, host, resolve);
    });
    made.#server.on("error", (err) => log.error({ err }, "metrics server failed"));
    log.info({ host, port: made.port }, "metrics are served");
    return made;
  }

  get port(): number {
    const address = this.#server.address();
    return typeof address === "object" && address !== null ? address.port : 0;
  }

  /** From now on it is healthy. */
  ready(): void {
    this.#ready = true;
  }

  /** Ends within moments, whoever is connected. May be called twice. */
  stop(): Promise<void> {
    this.#stopped ??= new Promise((resolve) => {
      this.#ready = false;
      this.#server.close(() => resolve());
      this.#server.closeAllConnections();
    });
    return this.#stopped;
  }

  async #answer(request: IncomingMessage, response: ServerResponse): Promise<void> {
    // What somebody sends along is thrown away.
    request.resume();
    if (request.method !== "GET" && request.method !== "HEAD") {
      response.setHeader("Allow", "GET, HEAD");
      respond(response, 405, "only GET\n");
      return;
    }
    switch (request.url?.split("?", 1)[0]) {
      case "/metrics":
        response.setHeader("Content-Type", this.#source.contentType);
        respond(response, 200, await this.#metrics());
        break;
      case "/healthz":
        if (this.#ready) respond(response, 200, "ok\n");
        else respond(response, 503, "starting\n");
        break;
      default:
        respond(response, 404, "there are /metrics and /healthz\n");
    }
  }

  /** Those who ask at the same time get the same answer. */
  #metrics(): Promise<string> {
    this.#scrape ??= this.#source
      .metrics()
      .then((text) => text + this.#refusals())
      .finally(() => (this.#scrape = undefined));
    return this.#scrape;
  }

  /** Of this server itself, which no registry knows. */
  #refusals(): string {
    const name = "slipway_metrics_connections_refused_total";
    const { rate, crowded } = this.refused;
    return [
      `# HELP ${name} Connections to the metrics' port that were closed, as there were too many.`,
      `# TYPE ${name} counter`,
      `${name}{reason="rate"} ${rate}`,
      `${name}{reason="crowded"} ${crowded}`,
      "",
    ].join("\n");
  }
}

function respond(response: ServerResponse, status: number, body: string): void {
  if (!response.hasHeader("Content-Type")) response.setHeader("Content-Type", "text/plain");
  response.statusCode = status;
  response.setHeader("Content-Length", Buffer.byteLength(body));
  response.end(body);
}
