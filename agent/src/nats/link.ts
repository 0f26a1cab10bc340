import { setTimeout as delay } from "node:timers/promises";
import { explainUntrusted, ShownCertificate } from "@slipway/proto/files";
import { connect } from "@slipway/proto/nats";
import {
  ErrorCode,
  Events,
  jwtAuthenticator,
  type ConnectionOptions,
  type NatsConnection,
} from "nats";
import { backOffMs } from "../back-off.js";
import type { Logger } from "../log.js";
import { nameOf, type NatsAccess } from "./access.js";

const REPEAT_MS = 20_000;
const RETRY = { baseMs: 250, maxMs: 10_000 };
const CONNECT_TIMEOUT_MS = 5_000;
const PING_EVERY_MS = 5_000;
const RECONNECT_MIN_MS = 250;
const RECONNECT_SPREAD_MS = 750;
/** Between tries while the server takes us for nobody: that does not pass by itself. */
const REFUSED = { baseMs: 1_000, maxMs: 30_000 };
const REFUSALS: readonly string[] = [
  ErrorCode.AuthorizationViolation,
  ErrorCode.AuthenticationExpired,
  ErrorCode.AccountExpired,
];

export interface NatsLinkOptions {
  /** One or more servers of one cluster. */
  servers: readonly string[];
  /** How the client names itself to the server. */
  name: string;
  /** Default: whoever connects is let in. */
  access?: NatsAccess | undefined;
  log: Logger;
}

/**
 * A connection to NATS that is there whenever the server is, from before the server's first start
 * on. What is published while it is away is dropped, not queued.
 */
export class NatsLink {
  readonly #options: NatsLinkOptions;
  readonly #listeners: ((connection: NatsConnection, first: boolean) => void)[] = [];
  readonly #controller = new AbortController();
  #connection: NatsConnection | undefined;
  #up = false;
  /** Since when it is not, in milliseconds since 1970. */
  #downAt = Date.now();
  /** How often the server has refused our credentials since it took them. */
  #refusals = 0;
  readonly #shown = new ShownCertificate();
  /** When it was said last that the server cannot be reached, and how often it was not since. */
  #saidAt = Number.NEGATIVE_INFINITY;
  #unsaid = 0;
  #loop: Promise<void> | undefined;

  constructor(options: NatsLinkOptions) {
    this.#options = options;
  }

  /**
   * Calls back with every new connection (`first`, to subscribe on) and every time that one is
   * restored, subscriptions and all. To be called before start().
   */
  onConnected(listener: (connection: NatsConnection, first: boolean) => void): void {
    this.#listeners.push(listener);
  }

  start(): void {
    this.#loop ??= this.#run();
  }

  /** The connection, while the server can be reached. */
  get connection(): NatsConnection | undefined {
    return this.#up ? this.#connection : undefined;
  }

  /** Since when the server cannot be reached; undefined while it can. */
  get awaySince(): Date | undefined {
    return this.#up ? undefined : new Date(this.#downAt);
  }

  /** When the certificate ends that the server showed last; undefined without TLS. */
  get certificateExpireTime(): Date | undefined {
    return this.#shown.expireTime;
  }

  /** Connects once more, for the certificate that is shown now: a server may have another by then. */
  async lookAgain(): Promise<void> {
    const { servers, name } = this.#options;
    const about = { servers: [...servers], name, timeout: CONNECT_TIMEOUT_MS, reconnect: false };
    await (await connect({ ...about, ...this.#credentials() })).close();
  }

  /** Publishes, or drops it while the server is away: false then. */
  publish(subject: string, data: Uint8Array): boolean {
    const { connection } = this;
    if (connection === undefined || connection.isClosed() || connection.isDraining()) return false;
    connection.publish(subject, data);
    return true;
  }

  async stop(): Promise<void> {
    this.#controller.abort();
    this.#up = false;
    await this.#connection?.close();
    await this.#loop;
  }

  async #run(): Promise<void> {
    const { signal } = this.#controller;
    const { servers, name } = this.#options;
    for (let attempt = 0; !signal.aborted; attempt += 1) {
      try {
        const connection = await connect({
          servers: [...servers],
          name,
          timeout: CONNECT_TIMEOUT_MS,
          ...this.#credentials(),
          maxReconnectAttempts: -1,
          reconnectDelayHandler: () =>
            this.#refusals > 0
              ? backOffMs(this.#refusals - 1, REFUSED)
              : RECONNECT_MIN_MS + Math.random() * RECONNECT_SPREAD_MS,
          pingInterval: PING_EVERY_MS,
          maxPingOut: 2,
          ignoreAuthErrorAbort: true,
          noAsyncTraces: true,
        });
        attempt = 0;
        await this.#use(connection);
      } catch (error) {
        if (!signal.aborted) this.#failed(error);
      }
      const pause = delay(backOffMs(attempt, RETRY), undefined, { signal });
      await pause.catch(() => {
        // Stopped: the loop's condition ends it.
      });
    }
  }

  /** Says it at once, and then every 20 s: it is tried again for as long as it takes. */
  #failed(error: unknown): void {
    const { log, servers, access } = this.#options;
    const now = performance.now();
    if (now - this.#saidAt < REPEAT_MS) {
      this.#unsaid += 1;
      log.debug({ err: error, servers }, "nats cannot be reached");
      return;
    }
    const reason = explainUntrusted(error, { servers, caFile: access?.caFile });
    const about = reason === undefined ? { err: error, servers } : { reason };
    log.warn({ ...about, suppressed: this.#unsaid }, "nats cannot be reached");
    this.#saidAt = now;
    this.#unsaid = 0;
  }

  #credentials(): Partial<ConnectionOptions> {
    const { access } = this.#options;
    if (access === undefined) return {};
    const { user, caFile, inbox } = access;
    const now = user();
    return {
      ...(caFile === undefined ? {} : { tls: this.#shown.options(caFile) }),
      inboxPrefix: inbox(now === undefined ? undefined : nameOf(now)),
      authenticator: (nonce) => {
        const newest = user();
        if (newest === undefined) return undefined;
        return jwtAuthenticator(newest.jwt, new TextEncoder().encode(newest.seed))(nonce);
      },
    };
  }

  async #use(connection: NatsConnection): Promise<void> {
    const { log } = this.#options;
    if (this.#controller.signal.aborted) {
      await connection.close();
      return;
    }
    this.#connection = connection;
    this.#restored(connection, true);
    // The library does not end this when the connection is closed, so nobody waits for it.
    this.#followStatus(connection).catch((error: unknown) => {
      log.error({ err: error }, "nats connection's status cannot be followed");
    });
    const error = await connection.closed();
    this.#lost();
    if (error !== undefined) log.error({ err: error }, "nats connection closed");
  }

  async #followStatus(connection: NatsConnection): Promise<void> {
    for await (const status of connection.status()) {
      if (status.type === Events.Disconnect) {
        this.#lost();
        this.#options.log.warn({ server: status.data }, "nats connection lost");
      } else if (status.type === Events.Error && isRefusal(status.data)) {
        this.#refusals += 1;
        const { log, name } = this.#options;
        if (this.#refusals === 1) {
          log.warn({ name, reason: status.data }, "nats refuses this agent");
        }
      } else if (status.type === Events.Error) {
        // Such as a subject that this agent may not use.
        const { permissionContext } = status;
        this.#options.log.warn(
          { reason: status.data, permissionContext },
          "nats refuses a request",
        );
      } else if (status.type === Events.Reconnect) {
        this.#restored(connection, false);
      }
    }
  }

  #lost(): void {
    if (this.#up) this.#downAt = Date.now();
    this.#up = false;
  }

  #restored(connection: NatsConnection, first: boolean): void {
    this.#up = true;
    this.#refusals = 0;
    this.#saidAt = Number.NEGATIVE_INFINITY;
    this.#options.log.info({ server: connection.getServer() }, "nats connected");
    for (const listener of this.#listeners) listener(connection, first);
  }
}

function isRefusal(data: unknown): boolean {
  return typeof data === "string" && REFUSALS.includes(data);
}
