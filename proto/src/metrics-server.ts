import { type IncomingMessage, type Server, type ServerResponse, createServer } from "node:http";

/** More at once are refused; a scraper needs one. */
const MAX_CONNECTIONS = 32;
const REQUEST_MS = 5_000;
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
  #ready = false;
  #scrape: Promise<string> | undefined;
  #stopped: Promise<void> | undefined;

  private constructor(source: MetricsSource, log: MetricsLog) {
    this.#source = source;
    this.#server = createServer(
      { requestTimeout: REQUEST_MS, keepAliveTimeout: IDLE_MS, maxHeaderSize: MAX_HEADER_BYTES },
      (request, response) => {
        this.#answer(request, response).catch((error: unknown) => {
          log.error({ err: error }, "metrics cannot be told");
          respond(response, 500, "metrics cannot be told\n");
        });
      },
    );
    this.#server.maxConnections = MAX_CONNECTIONS;
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
    this.#scrape ??= this.#source.metrics().finally(() => (this.#scrape = undefined));
    return this.#scrape;
  }
}

function respond(response: ServerResponse, status: number, body: string): void {
  if (!response.hasHeader("Content-Type")) response.setHeader("Content-Type", "text/plain");
  response.statusCode = status;
  response.setHeader("Content-Length", Buffer.byteLength(body));
  response.end(body);
}
