import { randomUUID } from "node:crypto";
import { setTimeout as delay } from "node:timers/promises";
import type { BuildQueueing } from "@slipway/proto";
import type { Knex } from "knex";
import type { Logger } from "pino";
import type { Service } from "../context.js";
import { Wake } from "../wake.js";
import { describeQueueing, type Connected } from "./describe-queueing.js";
import { RescueGate } from "./rescue-gate.js";

const BEAT_MS = 5_000;
/** Coordinators that have not said anything for so long have no builders. */
const SEEN_MS = 20_000;
/** After a start or an outage coordinators have said by then who is connected, and builders come back. */
const SETTLE_MS = 10_000;
/** What was read is taken for what is there. */
const HOLDS_MS = 1_000;
/** Builders that come together, as after a restart, are said together. */
const GATHER_MS = 250;
/** A coordinator that stops waits no longer for a database that does not answer. */
const FAREWELL_MS = 1_000;
/** Rows of coordinators that are no more. */
const FORGET_MS = 7 * 24 * 3_600_000;

interface ConnectedBuildersOptions {
  db: Knex;
  /** Ids of the builders that are connected here. */
  here: () => readonly string[];
  log: Logger;
  /** Default: 5 s, 20 s, 10 s and 1 s. */
  times?: { beatMs: number; seenMs: number; settleMs: number; holdsMs: number };
  /** Milliseconds of a clock that never jumps. */
  monotonic?: () => number;
}

/**
 * Which builders are connected to any coordinator: each says in the database which ones have a stream to
 * it, and that again and again. For those who wait for a build; leasing asks nobody.
 */
export class ConnectedBuilders implements Service {
  readonly #options: ConnectedBuildersOptions;
  readonly #times: NonNullable<ConnectedBuildersOptions["times"]>;
  readonly #coordinatorId = randomUUID();
  readonly #wake = new Wake();
  readonly #stop = new AbortController();
  readonly #settled: RescueGate;
  readonly #monotonic: () => number;
  #running: Promise<void> | undefined;
  #known: { readAt: number; connected: Promise<Connected> } | undefined;

  constructor(options: ConnectedBuildersOptions) {
    const byDefault = {
      beatMs: BEAT_MS,
      seenMs: SEEN_MS,
      settleMs: SETTLE_MS,
      holdsMs: HOLDS_MS,
    };
    this.#options = options;
    this.#times = options.times ?? byDefault;
    this.#monotonic = options.monotonic ?? (() => performance.now());
    const { settleMs: holdMs, seenMs: maxGapMs } = this.#times;
    this.#settled = new RescueGate({ holdMs, maxGapMs });
  }

  start(): void {
    if (!this.#stop.signal.aborted) this.#running ??= this.#run();
  }

  /** Says that nobody is connected here any more. */
  async stop(): Promise<void> {
    if (this.#stop.signal.aborted) return this.#running;
    this.#stop.abort();
    await this.#running;
    const said = this.#say([]).catch((error: unknown) => {
      this.#options.log.info({ err: error }, "others count builders here for some seconds more");
    });
    await Promise.race([said, delay(FAREWELL_MS, undefined, { ref: false })]);
  }

  /** Builders have come or gone here. */
  changed(): void {
    this.#wake.signal();
  }

  /**
   * Whether anybody is there to take a queued build; undefined if it cannot be told: the database
   * is away or was a moment ago, or this coordinator has just started.
   */
  async queueing(): Promise<BuildQueueing | undefined> {
    const { here, log } = this.#options;
    if (!this.#settled.isOpen(this.#monotonic())) return undefined;
    try {
      const connected = await this.#connected();
      const count = new Set([...connected.ids, ...here()]).size;
      return { connectedBuilders: count, blockedBy: describeQueueing(count, connected.last) };
    } catch (error) {
      log.warn({ err: error }, "it cannot be told whether builders are connected");
      return undefined;
    }
  }

  /** Says once who is connected here. */
  async runOnce(): Promise<void> {
    await this.#say(this.#options.here());
    this.#settled.answered(this.#monotonic());
  }

  async #run(): Promise<void> {
    const { signal } = this.#stop;
    const { log } = this.#options;
    while (!signal.aborted) {
      try {
        await this.runOnce();
      } catch (error) {
        log.warn({ err: error }, "others cannot be told which builders are connected here");
      }
      await delay(GATHER_MS, undefined, { signal }).catch(() => undefined);
      if (signal.aborted) return;
      const timeoutMs = this.#times.beatMs * (0.75 + Math.random() / 2);
      await this.#wake.next({ timeoutMs, signal }).catch(() => undefined);
    }
  }

  async #say(builderIds: readonly string[]): Promise<void> {
    const { db } = this.#options;
    const ids = [...builderIds];
    await db.raw(
      `with left_here as (
         update connected_builders set connected = false, seen_time = clock_timestamp()
         where coordinator_id = ? and connected and not builder_id = any (?::text[])
       ), forgotten as (
         delete from connected_builders
         where seen_time < clock_timestamp() - ? * interval '1 millisecond' and coordinator_id <> ?
       )
       insert into connected_builders (coordinator_id, builder_id, connected)
       select ?::uuid, id, true from unnest(?::text[]) as id
       on conflict (coordinator_id, builder_id)
       do update set connected = true, seen_time = clock_timestamp()`,
      [this.#coordinatorId, ids, FORGET_MS, this.#coordinatorId, this.#coordinatorId, ids],
    );
  }

  /** One read for all that ask at the same time. */
  #connected(): Promise<Connected> {
    const now = this.#monotonic();
    if (this.#known !== undefined && now - this.#known.readAt < this.#times.holdsMs) {
      return this.#known.connected;
    }
    const known = { readAt: now, connected: this.#read() };
    this.#known = known;
    known.connected.catch(() => {
      if (this.#known === known) this.#known = undefined;
    });
    return known.connected;
  }

  async #read(): Promise<Connected> {
    const { rows }: { rows: { ids: string[]; last_id: string | null; last_time: Date | null }[] } =
      await this.#options.db.raw(
        `select
           coalesce(array_agg(distinct builder_id) filter (
             where connected and seen_time > clock_timestamp() - ? * interval '1 millisecond'
           ), '{}') as ids,
           (array_agg(builder_id order by seen_time desc))[1] as last_id,
           max(seen_time) as last_time
         from connected_builders`,
        [this.#times.seenMs],
      );
    const { ids = [], last_id: id = null, last_time: time = null } = rows[0] ?? {};
    return { ids, last: id === null || time === null ? undefined : { id, time } };
  }
}
