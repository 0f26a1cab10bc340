import { randomUUID } from "node:crypto";
import { setTimeout as delay } from "node:timers/promises";
import type { Knex } from "knex";
import { Client } from "pg";
import type { Logger } from "pino";
import type { Service } from "../context.js";
import type { ChangeEvent, EventBus, EventKind } from "../events.js";
import { backoffMs } from "../retry.js";
import { connectionConfig, runStatement, type Statement } from "./connection.js";
import { Presence } from "./presence.js";

const CHANNEL = "slipway_changes";
/** Postgres takes up to 8,000 bytes a notification. */
const MAX_PAYLOAD_BYTES = 7_500;
/** How often a coordinator says that it is there, three times before others forget it. */
const HELLO_INTERVAL_MS = 10_000;
/** Nothing is kept: their commit need not wait for the disk, which others wait for as well. */
const NOTIFY: Statement = {
  name: "slipway_notify",
  text: `
    select set_config('synchronous_commit', 'off', true), pg_notify($1, payload)
    from unnest($2::text[]) payload`,
};
/** Says that its sender is there. */
const HELLO = "hello";
/** Says besides that others were not told of changes until now, so that they read all again. */
const WELCOME = "welcome";
const KINDS: ReadonlySet<string> = new Set<EventKind>([
  "queue",
  "build",
  "deployment",
  "artifact",
  "token",
  "member",
]);

/**
 * Carries change signals between coordinators by LISTEN and NOTIFY, on a connection of its own that
 * it opens again by itself. After every new connection it signals that anything may have changed.
 *
 * Signals are sent only while others are known to listen, or might without being heard: a lone
 * coordinator of a busy queue would spend a tenth of its time on them. Whoever hears of another for
 * the first time tells it to read all again, as it was told nothing before.
 */
export class Notifications implements Service {
  readonly #options: { url: string; db: Knex; events: EventBus; log: Logger };
  /** Tells our own notifications from the others'. */
  readonly #sender = randomUUID();
  readonly #presence = new Presence();
  readonly #stop = new AbortController();
  #running: Promise<void> | undefined;
  #listening = false;

  constructor(options: { url: string; db: Knex; events: EventBus; log: Logger }) {
    this.#options = options;
  }

  start(): void {
    if (this.#stop.signal.aborted || this.#running !== undefined) return;
    this.#options.events.setBroadcast((events) => this.#notify(events));
    this.#running = this.#run();
  }

  async stop(): Promise<void> {
    this.#options.events.setBroadcast(undefined);
    this.#stop.abort();
    await this.#running;
  }

  /** Whether signals of other coordinators are heard now. */
  get listening(): boolean {
    return this.#listening;
  }

  async #notify(events: readonly ChangeEvent[]): Promise<void> {
    if (this.#listening && this.#presence.isAlone(performance.now())) return;
    await this.#send(packNotifications(this.#sender, events));
  }

  async #send(payloads: readonly string[]): Promise<void> {
    await runStatement(this.#options.db, NOTIFY, [CHANNEL, payloads]);
  }

  #hear(payload: string): void {
    if (payload.startsWith(`${this.#sender}\n`)) return;
    const { events, log } = this.#options;
    const heard = unpackNotification(payload);
    if (heard === undefined) {
      log.warn({ payload }, "a notification that cannot be read");
      return;
    }
    if (this.#presence.hear(heard.sender, performance.now())) {
      this.#send([`${this.#sender}\n${WELCOME} `]).catch((error: unknown) =>
        log.warn({ err: error }, "could not greet another coordinator; it polls"),
      );
    }
    if (heard.isWelcome) events.deliverAll();
    else events.deliver(heard.events);
  }

  async #run(): Promise<void> {
    const { signal } = this.#stop;
    for (let failures = 0; !signal.aborted;) {
      try {
        await this.#listen(signal, () => (failures = 0));
      } catch (error) {
        if (signal.aborted) return;
        failures += 1;
        this.#options.log.warn({ err: error, failures }, "listening for changes failed; retrying");
        await delay(backoffMs(failures, { firstMs: 100, maxMs: 5_000 }), undefined, {
          signal,
        }).catch(() => undefined);
      }
    }
  }

  /** Listens until the connection breaks or the service stops. */
  async #listen(signal: AbortSignal, connected: () => void): Promise<void> {
    const client = new Client(
      connectionConfig({
        url: this.#options.url,
        statementTimeoutMs: 5_000,
        applicationName: "slipway changes",
      }),
    );
    const broken = new Promise<never>((_, reject) => {
      client.on("error", reject);
      client.on("end", () => reject(new Error("connection ended")));
      signal.addEventListener("abort", () => reject(signal.reason as Error), { once: true });
    });
    broken.catch(() => undefined);
    client.on("notification", ({ payload }) => this.#hear(payload ?? ""));
    try {
      await Promise.race([client.connect(), broken]);
      const hello = {
        text: "select pg_notify($1, $2)",
        values: [CHANNEL, `${this.#sender}\n${HELLO} `],
      };
      await Promise.race([client.query(`listen ${CHANNEL}`), broken]);
      await Promise.race([client.query(hello), broken]);
      connected();
      this.#listening = true;
      this.#options.events.deliverAll();
      while (true) {
        await Promise.race([delay(HELLO_INTERVAL_MS, undefined, { signal }), broken]);
        await Promise.race([client.query(hello), broken]);
      }
    } finally {
      this.#listening = false;
      // A connection that is broken already may say so again.
      await client.end().catch(() => undefined);
    }
  }
}

/** As many payloads as the events need, each within Postgres' bound. Pure. */
export function packNotifications(sender: string, events: readonly ChangeEvent[]): string[] {
  const payloads: string[] = [];
  let lines = sender;
  for (const { kind, id } of events) {
    const line = `\n${kind} ${id}`;
    if (Buffer.byteLength(lines) + Buffer.byteLength(line) > MAX_PAYLOAD_BYTES) {
      payloads.push(lines);
      lines = sender;
    }
    lines += line;
  }
  if (lines !== sender) payloads.push(lines);
  return payloads;
}

/** What a payload says. */
export interface Notification {
  sender: string;
  /** Nothing was sent before to whoever was not known. */
  isWelcome: boolean;
  events: ChangeEvent[];
}

/** What a payload says; undefined if it is none of ours. Pure. */
export function unpackNotification(payload: string): Notification | undefined {
  const [sender, ...lines] = payload.split("\n");
  if (sender === undefined || sender === "") return undefined;
  const events: ChangeEvent[] = [];
  let isWelcome = false;
  for (const line of lines) {
    const space = line.indexOf(" ");
    const kind = line.slice(0, space);
    if (kind === WELCOME) isWelcome = true;
    // A newer coordinator may speak of kinds that this one does not know.
    if (KINDS.has(kind)) events.push({ kind: kind as EventKind, id: line.slice(space + 1) });
  }
  return { sender, isWelcome, events };
}
