import { setTimeout as delay } from "node:timers/promises";

/** What Postgres and nats-server have in common. */
interface Server {
  port: number;
  pid: number;
  stop(): Promise<void>;
}

/** After a SIGKILL, what is left of Postgres holds its data for a moment still. */
const RESTART_TIMEOUT_MS = 30_000;
const RETRY_MS = 200;

/** A server of the fleet, which may be killed, and started again on its port with its data. */
export class FleetServer<S extends Server = Server> {
  readonly name: string;
  readonly #start: (port?: number) => Promise<S>;
  #server: S;
  #runs = true;

  private constructor(name: string, start: (port?: number) => Promise<S>, server: S) {
    this.name = name;
    this.#start = start;
    this.#server = server;
  }

  /** @param start - Starts it with the same data each time, on a free port if none is given. */
  static async start<S extends Server>(
    name: string,
    start: (port?: number) => Promise<S>,
  ): Promise<FleetServer<S>> {
    return new FleetServer(name, start, await start());
  }

  /** The server as it was started last. */
  get server(): S {
    return this.#server;
  }

  /** @throws Error if it runs, or does not start within about 30 s. */
  async start(): Promise<void> {
    if (this.#runs) throw new Error(`${this.name} runs already`);
    const end = Date.now() + RESTART_TIMEOUT_MS;
    for (;;) {
      try {
        this.#server = await this.#start(this.#server.port);
        this.#runs = true;
        return;
      } catch (error) {
        if (Date.now() >= end) throw error;
        await delay(RETRY_MS);
      }
    }
  }

  /** SIGKILL. Nothing happens if it does not run. */
  async kill(): Promise<void> {
    if (!this.#runs) return;
    this.#runs = false;
    process.kill(this.#server.pid, "SIGKILL");
    await this.#server.stop();
  }

  /** SIGSTOP: it hangs. Answers whether it runs. */
  pause(): boolean {
    if (this.#runs) process.kill(this.#server.pid, "SIGSTOP");
    return this.#runs;
  }

  /** SIGCONT. Nothing happens if it does not hang. */
  resume(): void {
    if (this.#runs) process.kill(this.#server.pid, "SIGCONT");
  }

  /** Stops it as servers are. Nothing happens if it does not run. */
  async stop(): Promise<void> {
    if (!this.#runs) return;
    this.#runs = false;
    await this.#server.stop();
  }
}
