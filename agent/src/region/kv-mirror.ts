import { setTimeout as delay } from "node:timers/promises";
import type { JetStreamManager, KV, NatsConnection } from "nats";
import { backOffMs } from "../back-off.js";
import type { Logger } from "../log.js";
import type { NatsLink } from "../nats/link.js";

const RETRY = { baseMs: 250, maxMs: 2_000 };
const POLL_MS = 10_000;
const REQUEST_TIMEOUT_MS = 5_000;

/** A key's newest value. */
export interface MirrorEntry {
  value: Uint8Array;
  /** For a compare-and-set. */
  revision: number;
}

interface KvMirrorOptions {
  link: NatsLink;
  bucket: string;
  log: Logger;
  /** Called before every load: makes the bucket if this side owns it. */
  prepare?: ((connection: NatsConnection) => Promise<void>) | undefined;
  /** Something changed, or everything was loaded. */
  onChange: () => void;
  /** Between checks that the watch missed nothing, in ms. Default: 10 s. */
  pollMs?: number | undefined;
}

/**
 * A KV bucket in memory: loaded and watched, checked every 10 s against the stream's own count, and
 * loaded anew after a reconnect, a miss, or the loss of the bucket.
 */
export class KvMirror {
  readonly #options: KvMirrorOptions;
  readonly #controller = new AbortController();
  #entries: Map<string, MirrorEntry> | undefined;
  #kv: KV | undefined;
  #wake: () => void = () => {};
  #loop: Promise<void> | undefined;

  constructor(options: KvMirrorOptions) {
    this.#options = options;
  }

  /** Everything in the bucket, as far as is known; undefined until it was loaded once. */
  get entries(): ReadonlyMap<string, MirrorEntry> | undefined {
    return this.#entries;
  }

  /** The bucket, to write to, while it can be reached. */
  get kv(): KV | undefined {
    return this.#options.link.connection === undefined ? undefined : this.#kv;
  }

  /** To be called before the link is started. */
  start(): void {
    // A watch that survives a reconnect wakes up seconds late; a new one does not.
    this.#options.link.onConnected(() => this.#wake());
    this.#loop ??= this.#run();
  }

  /** Something was written from here: known before the watch says so. */
  note(key: string, entry: MirrorEntry): void {
    if (this.#entries !== undefined) put(this.#entries, key, entry);
  }

  /** A key was deleted from here that had this revision. */
  drop(key: string, revision: number): void {
    if (this.#entries?.get(key)?.revision === revision) this.#entries.delete(key);
  }

  /** Loads everything anew, for instance because a write met another revision. */
  reload(): void {
    this.#wake();
  }

  async stop(): Promise<void> {
    this.#controller.abort();
    this.#wake();
    await this.#loop;
  }

  async #run(): Promise<void> {
    const { signal } = this.#controller;
    const { link, log, bucket } = this.#options;
    let attempt = 0;
    while (!signal.aborted) {
      const woken = new Promise<void>((resolve) => {
        this.#wake = resolve;
      });
      const { connection } = link;
      if (connection === undefined) {
        await woken;
        continue;
      }
      try {
        await this.#follow(connection, woken);
        attempt = 0;
      } catch (error) {
        const waitMs = backOffMs(attempt, RETRY);
        attempt += 1;
        if (!signal.aborted)
          log.debug({ err: error, bucket, retryInMs: Math.round(waitMs) }, "bucket not read");
        await until(woken, waitMs);
      }
    }
  }

  /** Follows the bucket until it is to be loaded anew. */
  async #follow(connection: NatsConnection, woken: Promise<void>): Promise<void> {
    const { bucket, prepare, onChange, pollMs = POLL_MS } = this.#options;
    await prepare?.(connection);
    const manager = await connection.jetstreamManager({
      checkAPI: false,
      timeout: REQUEST_TIMEOUT_MS,
    });
    const stream = `KV_${bucket}`;
    const before = await manager.streams.info(stream);
    const kv = await connection
      .jetstream({ timeout: REQUEST_TIMEOUT_MS })
      .views.kv(bucket, { bindOnly: true, allow_direct: true });
    this.#kv = kv;
    const loading = new Map<string, MirrorEntry>();
    let seen = before.state.last_seq;
    let loaded = false;
    const watch = await kv.watch({
      initializedFn: () => {
        loaded = true;
        this.#entries = loading;
        onChange();
      },
    });
    const reading = (async () => {
      for await (const entry of watch) {
        seen = Math.max(seen, entry.revision);
        if (entry.operation === "PUT") {
          put(loading, entry.key, { value: entry.value, revision: entry.revision });
        } else {
          loading.delete(entry.key);
        }
        if (loaded) onChange();
      }
    })();
    try {
      let behind = false;
      for (;;) {
        const ended = await Promise.race([
          woken.then(() => "woken" as const),
          reading.then(() => "ended" as const),
          delay(pollMs, "poll" as const, { signal: this.#controller.signal, ref: false }),
        ]);
        if (ended !== "poll") return;
        const { created, last } = await streamState(manager, stream);
        if (created !== before.created) return;
        // Once may be a message on its way; twice is a watch that has lost one.
        if (last > seen && behind) return;
        behind = last > seen;
      }
    } finally {
      watch.stop();
      await reading;
    }
  }
}

function put(entries: Map<string, MirrorEntry>, key: string, entry: MirrorEntry): void {
  if ((entries.get(key)?.revision ?? 0) < entry.revision) entries.set(key, entry);
}

async function streamState(
  manager: JetStreamManager,
  stream: string,
): Promise<{ created: string; last: number }> {
  const { created, state } = await manager.streams.info(stream);
  return { created, last: state.last_seq };
}

async function until(woken: Promise<void>, ms: number): Promise<void> {
  const timer = new AbortController();
  await Promise.race([
    woken,
    delay(ms, undefined, { signal: timer.signal }).catch(() => {
      // Woken first.
    }),
  ]);
  timer.abort();
}
