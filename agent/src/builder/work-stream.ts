import { setTimeout as delay } from "node:timers/promises";
import type { ServiceError } from "@grpc/grpc-js";
import {
  BuilderServiceClient,
  GRPC_MAX_MESSAGE_BYTES,
  type WorkAnswer,
  type WorkHello,
  type WorkResponse,
  type WorkSaying,
  answersIn,
  countTogether,
  durationToMs,
  getErrorDetails,
  requestOf,
} from "@slipway/proto";
import { backOffMs } from "../back-off.js";
import { addressesOf } from "../coordinator/failover-channel.js";
import { insecureChannel, type CoordinatorChannel } from "../coordinator/channel.js";
import type { Logger } from "../log.js";

const WELCOME_TIMEOUT_MS = 10_000;
const RECONNECT_MAX_MS = 5000;
const CLOSE_TIMEOUT_MS = 1000;
const TELL_EVERY_MS = 60_000;
const DEFAULT_LEASE_MS = 30_000;
/** A builder whose stream is replaced lives: it is not its own next start that did that. */
const REPLACED =
  "another process has this builder's id, and each ends the other's stream: stop one of the two, or " +
  "give it an id, an identity and a data directory of its own";

export interface WorkStreamOptions {
  /** HOST:PORT, or several with commas between: another one is tried after one that does not answer. */
  address: string;
  channel: CoordinatorChannel | undefined;
  hello: WorkHello;
  reconnectDelayMs: number;
  log: Logger;
  /** Connected: everything that is not known to be heard is to be said again. */
  onWelcome: (leaseMs: number) => void;
  onMessage: (message: WorkAnswer) => void;
  onDisconnect: () => void;
}

type Call = ReturnType<BuilderServiceClient["work"]>;

/** The stream to a coordinator, opened again for ever until it is stopped. */
export class WorkStream {
  readonly #options: WorkStreamOptions;
  readonly #addresses: readonly string[];
  #at: number;
  readonly #stopping = new AbortController();
  #call: Call | undefined;
  #welcomed = false;
  /** The coordinator takes several messages as one. */
  #takesSeveral = false;
  /** Said in this turn. */
  #unsent: WorkSaying[] = [];
  #attempt = 0;
  #replacedAt = Number.NEGATIVE_INFINITY;
  #running: Promise<void> | undefined;

  constructor(options: WorkStreamOptions) {
    this.#options = options;
    this.#addresses = addressesOf(options.address);
    // Builders that all have the same list must not all call its first.
    this.#at = Math.floor(Math.random() * this.#addresses.length);
  }

  start(): void {
    this.#running ??= this.#run();
  }

  get connected(): boolean {
    return this.#welcomed;
  }

  /** False if there is no stream now: say it again after the next welcome. */
  send(message: WorkSaying): boolean {
    if (!this.#welcomed || this.#stopping.signal.aborted || this.#call === undefined) return false;
    if (this.#unsent.push(message) === 1) queueMicrotask(() => this.#flush());
    return true;
  }

  /** Gives this stream up for another. */
  reconnect(reason: string): void {
    this.#options.log.warn({ reason }, "giving the coordinator's stream up");
    this.#call?.cancel();
  }

  /** Ends the stream after what was sent, and for good. May be called twice, or before start. */
  async stop(): Promise<void> {
    this.#stopping.abort();
    this.#flush();
    this.#call?.end();
    const timer = setTimeout(() => this.#call?.cancel(), CLOSE_TIMEOUT_MS);
    await this.#running;
    clearTimeout(timer);
  }

  async #run(): Promise<void> {
    const { signal } = this.#stopping;
    const { log, reconnectDelayMs } = this.#options;
    while (!signal.aborted) {
      const address = this.#addresses[this.#at] ?? "";
      const problem = await this.#connect(address);
      // A coordinator that restarts is away for a moment; with another one nothing is to wait for.
      this.#at = (this.#at + 1) % this.#addresses.length;
      if (signal.aborted) return;
      const wait = backOffMs(this.#attempt, { baseMs: reconnectDelayMs, maxMs: RECONNECT_MAX_MS });
      this.#attempt += 1;
      log.warn({ address, problem, waitMs: Math.round(wait) }, "no stream to the coordinator");
      await delay(wait, undefined, { signal }).catch(() => undefined);
    }
  }

  /** One stream from its start to its end. Returns what ended it. */
  async #connect(address: string): Promise<string> {
    const { channel, hello, onDisconnect } = this.#options;
    const { credentials, interceptors } = channel ?? insecureChannel();
    const client = new BuilderServiceClient(address, credentials, {
      interceptors,
      "grpc.max_receive_message_length": GRPC_MAX_MESSAGE_BYTES,
      "grpc.keepalive_time_ms": 20_000,
      "grpc.keepalive_timeout_ms": 10_000,
      // Each try dials anew, so that this class alone decides how long to wait.
      "grpc.use_local_subchannel_pool": 1,
    });
    const call = client.work();
    this.#call = call;
    const welcomeTimer = setTimeout(() => call.cancel(), WELCOME_TIMEOUT_MS);
    try {
      return await new Promise<string>((resolve) => {
        call.on("error", (error: ServiceError) => {
          if (getErrorDetails(error.metadata)?.reason === "STREAM_REPLACED") this.#replaced(error);
          resolve(error.message);
        });
        call.on("end", () => resolve("the coordinator ended the stream"));
        call.on("data", (response: WorkResponse) => {
          for (const answer of answersIn(response)) {
            if (answer?.$case === "welcome") clearTimeout(welcomeTimer);
            this.#receive(answer);
          }
        });
        call.write({ message: { $case: "hello", value: hello } });
      });
    } finally {
      clearTimeout(welcomeTimer);
      const wasWelcomed = this.#welcomed;
      this.#welcomed = false;
      this.#unsent = [];
      this.#call = undefined;
      call.cancel();
      client.close();
      if (wasWelcomed) onDisconnect();
    }
  }

  /** Said once a minute: it goes on for as long as there are two. */
  #replaced({ details }: ServiceError): void {
    const now = performance.now();
    if (now - this.#replacedAt < TELL_EVERY_MS) return;
    this.#replacedAt = now;
    this.#options.log.error({ problem: details }, REPLACED);
  }

  #flush(): void {
    while (this.#unsent.length > 0) {
      const count = this.#takesSeveral ? countTogether(this.#unsent) : 1;
      this.#call?.write(requestOf(this.#unsent.splice(0, count)));
    }
  }

  #receive(message: WorkAnswer | undefined): void {
    const { log, onWelcome, onMessage } = this.#options;
    try {
      if (message?.$case === "welcome") {
        this.#welcomed = true;
        this.#takesSeveral = message.value.takesSeveral;
        this.#attempt = 0;
        onWelcome(durationToMs(message.value.leaseDuration, DEFAULT_LEASE_MS));
      } else if (message === undefined) {
        log.warn("the coordinator said something unknown");
      } else if (this.#welcomed) {
        onMessage(message);
      }
    } catch (error) {
      log.error({ err: error }, "cannot handle what the coordinator said");
    }
  }
}
