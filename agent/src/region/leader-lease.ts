import { setTimeout as delay } from "node:timers/promises";
import { REGION_LEASE_KEY, RegionLease, regionLeaseBucket } from "@slipway/proto";
import { backOffMs } from "../back-off.js";
import type { Logger } from "../log.js";
import type { NatsLink } from "../nats/link.js";
import { makeBucket } from "../nats/make-bucket.js";
import { KvMirror, type MirrorEntry } from "./kv-mirror.js";

const LEASE_MS = 6_000;
const RETRY = { baseMs: 100, maxMs: 2_000 };
/** Clocks do not all run at the same speed: who waits for the lease waits this much longer. */
const MARGIN = 1.1;
const RELEASE_MS = 1_000;

interface LeaderLeaseOptions {
  link: NatsLink;
  region: string;
  agentId: string;
  /** Of this process. A twin of the same id is another candidate. */
  incarnation: string;
  log: Logger;
  /** How long the lease lasts unless it is renewed, which it is three times meanwhile. Default: 6 s. */
  leaseMs?: number | undefined;
}

/**
 * By which one of a region's agents leads: a key of the regional NATS that is written by
 * compare-and-set. Its holder trusts it for so long after it last began to renew it; the others take
 * it once they have seen it stay the same for longer, or at once when it is given back. Clocks are
 * never compared. While the regional NATS is away nobody leads.
 */
export class LeaderLease {
  readonly stats = { gained: 0, lost: 0 };
  readonly #options: LeaderLeaseOptions;
  readonly #leaseMs: number;
  readonly #mirror: KvMirror;
  readonly #controller = new AbortController();
  readonly #listeners: (() => void)[] = [];
  /** Of the lease that this agent last tried to take. */
  #term = 0;
  /** Until when it leads, and when it began to write that. */
  #until = Number.NEGATIVE_INFINITY;
  #renewedAt = Number.NEGATIVE_INFINITY;
  #led = false;
  /** What the key was last seen to be, and since when. */
  #seen = { revision: -1, at: 0 };
  #wake: () => void = () => {};
  #loop: Promise<void> | undefined;

  constructor(options: LeaderLeaseOptions) {
    this.#options = options;
    this.#leaseMs = options.leaseMs ?? LEASE_MS;
    const { link, region, log } = options;
    const bucket = regionLeaseBucket(region);
    this.#mirror = new KvMirror({
      link,
      bucket,
      log,
      prepare: async (connection) => void (await makeBucket(connection, bucket)),
      onChange: () => {
        this.#look();
        this.#wake();
      },
    });
  }

  /** Of the lease, while this agent leads; else 0. */
  get term(): number {
    return performance.now() < this.#until ? this.#term : 0;
  }

  /** Calls back after this agent began or ceased to lead. */
  onChange(listener: () => void): void {
    this.#listeners.push(listener);
  }

  /** To be called before the link is started. */
  start(): void {
    this.#mirror.start();
    this.#loop ??= this.#run();
  }

  /** Gives the lease back. To be called once nobody here writes by it any more. */
  async stop(): Promise<void> {
    if (!this.#controller.signal.aborted) {
      this.#controller.abort();
      this.#wake();
      await this.#loop;
      await this.#release();
    }
    await this.#mirror.stop();
  }

  async #run(): Promise<void> {
    const { signal } = this.#controller;
    const { region, log } = this.#options;
    let attempt = 0;
    while (!signal.aborted) {
      const woken = new Promise<void>((resolve) => {
        this.#wake = resolve;
      });
      let waitMs: number;
      try {
        waitMs = await this.#step();
        attempt = 0;
      } catch (error) {
        waitMs = backOffMs(attempt, RETRY);
        attempt += 1;
        this.#mirror.reload();
        log.debug({ err: error, region }, "the region's lease cannot be written");
      }
      this.#tell();
      const timer = new AbortController();
      const pause = delay(waitMs, undefined, { signal: timer.signal, ref: false }).catch(() => {
        // Woken first.
      });
      await Promise.race([woken, pause]);
      timer.abort();
    }
  }

  /** Takes or renews the lease if it is time to; the answer is when to look again, in ms. */
  async #step(): Promise<number> {
    const { kv, entries } = this.#mirror;
    const leftMs = this.#until - performance.now();
    // Woken when there is something to see; until then it may only be lost.
    if (kv === undefined || entries === undefined) return leftMs > 0 ? leftMs : this.#leaseMs;
    this.#look();
    const entry = entries.get(REGION_LEASE_KEY);
    const lease = read(entry);
    const now = performance.now();
    const { agentId, incarnation } = this.#options;
    const isOwn = lease.agentId === agentId && lease.incarnation === incarnation;
    if (isOwn && lease.term === this.#term) {
      const dueMs = this.#renewedAt + this.#leaseMs / 3 - now;
      if (dueMs > 0) return dueMs;
      await this.#write(this.#term, entry);
    } else {
      this.#until = Number.NEGATIVE_INFINITY;
      const free = entry === undefined || lease.agentId === "";
      const dueMs = this.#seen.at + this.#leaseMs * MARGIN - now;
      if (!free && dueMs > 0) return dueMs;
      // Above all that there were, also if the bucket was lost.
      await this.#write(Math.max(lease.term + 1, Date.now()), entry);
    }
    return this.#leaseMs / 3;
  }

  async #write(term: number, before: MirrorEntry | undefined): Promise<void> {
    const { kv } = this.#mirror;
    if (kv === undefined) throw new Error("the regional nats is away");
    const { agentId, incarnation } = this.#options;
    const began = performance.now();
    this.#term = term;
    const expireTime = new Date(Date.now() + this.#leaseMs);
    const value = RegionLease.encode({ agentId, term, expireTime, incarnation }).finish();
    const revision =
      before === undefined
        ? await kv.create(REGION_LEASE_KEY, value)
        : await kv.update(REGION_LEASE_KEY, value, before.revision);
    this.#mirror.note(REGION_LEASE_KEY, { value, revision });
    this.#renewedAt = began;
    this.#until = began + this.#leaseMs;
  }

  async #release(): Promise<void> {
    const { kv, entries } = this.#mirror;
    const { term } = this;
    this.#until = Number.NEGATIVE_INFINITY;
    const entry = entries?.get(REGION_LEASE_KEY);
    if (term === 0 || kv === undefined || entry === undefined) return;
    const given = RegionLease.fromPartial({ term, expireTime: new Date() });
    const value = RegionLease.encode(given).finish();
    const written = kv.update(REGION_LEASE_KEY, value, entry.revision).catch((error: unknown) => {
      this.#options.log.warn({ err: error }, "the region's lease cannot be given back");
    });
    await Promise.race([written, delay(RELEASE_MS, undefined, { ref: false })]);
  }

  /** Notes since when the key is as it is. */
  #look(): void {
    const revision = this.#mirror.entries?.get(REGION_LEASE_KEY)?.revision ?? 0;
    if (revision !== this.#seen.revision) this.#seen = { revision, at: performance.now() };
  }

  #tell(): void {
    const leads = this.term > 0;
    if (leads === this.#led) return;
    this.#led = leads;
    const { log, region } = this.#options;
    if (leads) {
      this.stats.gained += 1;
      log.info({ region, term: this.#term }, "this agent leads the region now");
    } else {
      this.stats.lost += 1;
      log.warn({ region, term: this.#term }, "this agent does not lead the region any more");
    }
    for (const listener of this.#listeners) listener();
  }
}

/** What cannot be read is somebody's, until it has stayed the same for long enough. */
function read(entry: MirrorEntry | undefined): RegionLease {
  try {
    return RegionLease.decode(entry?.value ?? new Uint8Array());
  } catch {
    return RegionLease.fromPartial({ agentId: "?" });
  }
}
