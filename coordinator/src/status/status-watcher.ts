import { setTimeout as delay } from "node:timers/promises";
import { RegionAgentStatus, RegionApplicationStatus, STATUS_BUCKET } from "@slipway/proto";
import { StorageType, type KV, type KvEntry, type NatsConnection } from "nats";
import type { Logger } from "pino";
import type { Clock, Service } from "../context.js";
import { backoffMs } from "../retry.js";
import { onDisconnect, onReconnect } from "./reconnects.js";
import type { StatusTable } from "./status-table.js";

const REQUEST_TIMEOUT_MS = 2_000;
const SWEEP_INTERVAL_MS = 1_000;
/** NATS is asked whether it is there when nothing was heard for so long. */
const PROBE_AFTER_MS = 1_000;
/** Agents speak every 2 s. A watch that hears nothing for so long is made anew. */
const IDLE_LIMIT_MS = 20_000;

interface StatusWatcherOptions {
  nats: NatsConnection;
  table: StatusTable;
  /** For what NATS says that it has had since when. */
  clock: Clock;
  /** The table's. */
  steady: Clock;
  log: Logger;
}

/** Keeps the status table up to date with one watch of the status bucket. */
export class StatusWatcher implements Service {
  readonly #options: StatusWatcherOptions;
  readonly #stop = new AbortController();
  #running: Promise<void> | undefined;
  /** Ends the present watch, or the wait for another try, so that another watch is made. */
  #rearm: (() => void) | undefined;
  #heardAt = 0;
  #bucket: KV | undefined;
  #probing = false;
  /** NATS came back after the present try began. */
  #reconnected = false;

  constructor(options: StatusWatcherOptions) {
    this.#options = options;
  }

  start(): void {
    if (this.#stop.signal.aborted || this.#running !== undefined) return;
    this.#running = this.#run();
  }

  async stop(): Promise<void> {
    this.#stop.abort();
    this.#rearm?.();
    await this.#running;
  }

  async #run(): Promise<void> {
    const { signal } = this.#stop;
    const { nats, log, table, steady } = this.#options;
    // An old watch resumes seconds late after a reconnect, a new one at once.
    const forget = onReconnect(nats, () => {
      this.#reconnected = true;
      this.#rearm?.();
    });
    const forgetLoss = onDisconnect(nats, () => table.hearing.lost());
    const sweeper = setInterval(() => {
      table.sweep();
      if (steady.now() - this.#heardAt > IDLE_LIMIT_MS) this.#rearm?.();
      if (steady.now() - this.#heardAt >= PROBE_AFTER_MS) void this.#probe();
    }, SWEEP_INTERVAL_MS);
    try {
      for (let failures = 0; !signal.aborted;) {
        try {
          await this.#watch(() => (failures = 0));
        } catch (error) {
          if (signal.aborted) return;
          failures += 1;
          log.warn({ err: error, failures }, "watching the status bucket failed; retrying");
          await this.#pause(backoffMs(failures, { firstMs: 200, maxMs: 5_000 }));
        }
      }
    } finally {
      clearInterval(sweeper);
      forget();
      forgetLoss();
    }
  }

  /** Waits, but no longer than until NATS is back. */
  async #pause(ms: number): Promise<void> {
    if (this.#reconnected) return;
    // Nothing can be heard meanwhile.
    this.#heardAt = this.#options.steady.now();
    const over = new AbortController();
    this.#rearm = () => over.abort();
    await delay(ms, undefined, { signal: over.signal }).catch(() => undefined);
    this.#rearm = undefined;
  }

  /** Follows the bucket until it is told to begin anew or to stop. */
  async #watch(started: () => void): Promise<void> {
    const { nats } = this.#options;
    this.#reconnected = false;
    const bucket = await openStatusBucket(nats);
    let live = false;
    const entries = await bucket.watch({ initializedFn: () => (live = true) });
    this.#bucket = bucket;
    this.#hear();
    this.#rearm = () => entries.stop();
    if (this.#stop.signal.aborted) entries.stop();
    started();
    try {
      for await (const entry of entries) {
        this.#hear();
        this.#take(entry, live);
      }
    } finally {
      this.#rearm = undefined;
      this.#bucket = undefined;
      entries.stop();
    }
  }

  #hear(): void {
    const { table, steady } = this.#options;
    this.#heardAt = steady.now();
    table.hearing.note(this.#heardAt);
  }

  /** Whose silence it is, when nothing is heard: the bucket's, or that of those who write to it. */
  async #probe(): Promise<void> {
    const bucket = this.#bucket;
    if (bucket === undefined || this.#probing) return;
    this.#probing = true;
    const { table, steady } = this.#options;
    await bucket.status().then(
      () => table.hearing.note(steady.now()),
      () => {
        // Said by its not being heard; the watch looks after itself.
      },
    );
    this.#probing = false;
  }

  #take(entry: KvEntry, live: boolean): void {
    const { table, clock, steady, log } = this.#options;
    const [region, agentId, application, ...rest] = entry.key.split(".");
    if (region === undefined || agentId === undefined || rest.length > 0) {
      log.warn({ key: entry.key }, "a key of the status bucket that is not ours");
      return;
    }
    if (entry.operation !== "PUT") {
      table.remove(region, agentId, application);
      return;
    }
    try {
      if (application === undefined) {
        const status = RegionAgentStatus.decode(entry.value);
        // What was there before the watch began is as old as the server says.
        const ageMs = live ? 0 : Math.max(0, clock.now() - entry.created.getTime());
        table.putAgent({ ...status, region, agentId }, steady.now() - ageMs);
      } else {
        const status = RegionApplicationStatus.decode(entry.value);
        table.putApplication({ ...status, region, agentId, application });
      }
    } catch (error) {
      log.warn({ err: error, key: entry.key }, "a status that cannot be read");
    }
  }
}

/** Opens the status bucket, or makes it. */
export function openStatusBucket(nats: NatsConnection): Promise<KV> {
  const options = { history: 1, storage: StorageType.File, timeout: REQUEST_TIMEOUT_MS };
  return nats.jetstream({ timeout: REQUEST_TIMEOUT_MS }).views.kv(STATUS_BUCKET, options);
}
