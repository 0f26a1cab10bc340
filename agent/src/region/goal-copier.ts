import {
  GLOBAL_GOALS_BUCKET,
  GOAL_DIGEST_KEY,
  goalSubject,
  regionGoalsBucket,
  REVOCATIONS_KEY,
  type Goal,
} from "@slipway/proto";
import type { KV, NatsConnection } from "nats";
import { backOffMs } from "../back-off.js";
import type { GoalKeys } from "../host/verify-goal.js";
import type { Logger } from "../log.js";
import type { NatsLink } from "../nats/link.js";
import { makeBucket } from "../nats/make-bucket.js";
import { pause } from "../pause.js";
import { RevocationReader } from "../revocation/revocation-reader.js";
import type { Revocations } from "../revocation/verify-revocations.js";
import { KvMirror, type MirrorEntry } from "./kv-mirror.js";
import { encodeDigest, replaces, type RegionGoal } from "./plan-goals.js";
import { GoalReader } from "./goal-reader.js";

const RETRY = { baseMs: 250, maxMs: 10_000 };
const REQUEST_TIMEOUT_MS = 5_000;
const WRONG_REVISION = 10_071;

interface GoalCopierOptions {
  region: string;
  globalLink: NatsLink;
  regionLink: NatsLink;
  /** Whether this agent leads the region: only then it writes. */
  leading: () => boolean;
  /** Goals that none of these signed are not copied. Undefined: that is left to the hosts. */
  keys?: GoalKeys | undefined;
  /** A list of revoked hosts was seen; it may be old, or known. Nobody has checked it without keys. */
  onRevocations?: ((list: Revocations) => void) | undefined;
  log: Logger;
  /** See KvMirror. */
  pollMs?: number | undefined;
}

/**
 * Copies the region's part of every global goal, and the list of revoked hosts, to the region's
 * bucket, if it is newer than what is there, and keeps the bucket's digest. The agent that leads
 * does; as writes are compare-and-set, two that believe they do, for a moment, do no harm.
 */
export class GoalCopier {
  /** Counters, for whoever watches the agent. */
  readonly stats = { copied: 0, conflicts: 0, digests: 0, revocations: 0 };
  readonly #options: GoalCopierOptions;
  readonly #global: KvMirror;
  readonly #regional: KvMirror;
  readonly #reader: GoalReader;
  readonly #revocationReader: RevocationReader;
  readonly #controller = new AbortController();
  #goals: ReadonlyMap<string, Goal> = new Map();
  #dirty = false;
  #wake: () => void = () => {};
  #loop: Promise<void> | undefined;

  constructor(options: GoalCopierOptions) {
    this.#options = options;
    const { region, log, pollMs, globalLink, regionLink } = options;
    this.#reader = new GoalReader(options);
    this.#revocationReader = new RevocationReader(options.keys, log);
    const onChange = (): void => this.reconcileSoon();
    this.#global = new KvMirror({
      link: globalLink,
      bucket: GLOBAL_GOALS_BUCKET,
      log,
      onChange,
      pollMs,
    });
    this.#regional = new KvMirror({
      link: regionLink,
      bucket: regionGoalsBucket(region),
      log,
      prepare: (connection) => prepareBucket(connection, region, log),
      onChange,
      pollMs,
    });
  }

  /** The region's newest goals by application: from the regional bucket, and from the global one. */
  get goals(): ReadonlyMap<string, Goal> {
    return this.#goals;
  }

  /** Values that make no sense, and goals of which the signature does not fit. */
  get ignored(): { malformed: number; refused: number } {
    return this.#reader.stats;
  }

  /** Something may have to be copied now, for instance because this agent leads. */
  reconcileSoon(): void {
    this.#dirty = true;
    this.#wake();
  }

  /** To be called before the links are started. */
  start(): void {
    this.#global.start();
    this.#regional.start();
    this.#loop ??= this.#run();
  }

  async stop(): Promise<void> {
    this.#controller.abort();
    this.#wake();
    await Promise.all([this.#loop, this.#global.stop(), this.#regional.stop()]);
  }

  async #run(): Promise<void> {
    const { signal } = this.#controller;
    let attempt = 0;
    while (!signal.aborted) {
      const woken = new Promise<void>((resolve) => {
        this.#wake = resolve;
      });
      if (!this.#dirty) await woken;
      this.#dirty = false;
      if (signal.aborted) return;
      try {
        await this.#reconcile();
        attempt = 0;
      } catch (error) {
        this.#dirty = true;
        const waitMs = backOffMs(attempt, RETRY);
        attempt += 1;
        if (!isConflict(error) && !signal.aborted)
          this.#options.log.warn({ err: error }, "goals cannot be copied");
        await pause(waitMs, signal);
      }
    }
  }

  /** Brings the regional bucket up to what both mirrors say. */
  async #reconcile(): Promise<void> {
    const { leading } = this.#options;
    const wanted = this.#reader.readGlobal(this.#global.entries);
    const entries = this.#regional.entries;
    const there = this.#reader.readRegional(entries);
    this.#setGoals(wanted, there);
    const revoked = this.#readRevocations(this.#global.entries, "global");
    const revokedThere = this.#readRevocations(entries, "regional");
    const { kv } = this.#regional;
    if (entries === undefined || kv === undefined) return;
    let revocationsVersion = revokedThere?.version ?? 0;
    if (revoked !== undefined && revoked.version > revocationsVersion && leading()) {
      await this.#write(kv, REVOCATIONS_KEY, revoked.signed, entries.get(REVOCATIONS_KEY));
      revocationsVersion = revoked.version;
      this.stats.revocations += 1;
      const { version, hostIds } = revoked;
      this.#options.log.info({ version, hosts: hostIds.size }, "revocations copied to the region");
    }
    for (const [application, goal] of wanted) {
      this.#controller.signal.throwIfAborted();
      if (!replaces(goal, there.get(application))) continue;
      if (!leading()) return;
      await this.#write(kv, application, goal.signed, entries.get(application));
      there.set(application, goal);
      this.stats.copied += 1;
      const { generation, bucketLimit } = goal.goal;
      this.#options.log.info({ application, generation, bucketLimit }, "goal copied to the region");
    }
    if (!leading()) return;
    const goals = [...there.values()].map(({ goal }) => goal);
    const digest = encodeDigest(goals, revocationsVersion);
    const known = entries.get(GOAL_DIGEST_KEY);
    if (known === undefined ? digest.length > 0 : !digest.equals(known.value)) {
      await this.#write(kv, GOAL_DIGEST_KEY, digest, known);
      this.stats.digests += 1;
    }
  }

  #readRevocations(
    entries: ReadonlyMap<string, MirrorEntry> | undefined,
    bucket: string,
  ): Revocations | undefined {
    const entry = entries?.get(REVOCATIONS_KEY);
    const list = entry && this.#revocationReader.read(entry.value, bucket);
    if (list !== undefined) this.#options.onRevocations?.(list);
    return list;
  }

  async #write(
    kv: KV,
    key: string,
    value: Uint8Array,
    before: MirrorEntry | undefined,
  ): Promise<void> {
    try {
      // Revision 0: only if nothing was ever there. create() also takes a deleted key's place.
      const revision =
        before === undefined
          ? await kv.create(key, value)
          : await kv.update(key, value, before.revision);
      this.#regional.note(key, { value, revision });
    } catch (error) {
      if (isConflict(error)) {
        // Another agent was faster: what it wrote comes with the watch.
        this.stats.conflicts += 1;
        this.#regional.reload();
      }
      throw error;
    }
  }

  #setGoals(wanted: ReadonlyMap<string, RegionGoal>, there: ReadonlyMap<string, RegionGoal>): void {
    const goals = new Map<string, Goal>();
    for (const [application, { goal }] of there) goals.set(application, goal);
    for (const [application, goal] of wanted) {
      if (replaces(goal, there.get(application))) goals.set(application, goal.goal);
    }
    this.#goals = goals;
  }
}

/** Makes the region's bucket, or gives it back the republishing that hosts live by. */
async function prepareBucket(
  connection: NatsConnection,
  region: string,
  log: Logger,
): Promise<void> {
  const bucket = regionGoalsBucket(region);
  const republish = { src: `$KV.${bucket}.>`, dest: goalSubject(region, ">") };
  await makeBucket(connection, bucket, { republish });
  const manager = await connection.jetstreamManager({
    checkAPI: false,
    timeout: REQUEST_TIMEOUT_MS,
  });
  const { config } = await manager.streams.info(`KV_${bucket}`);
  if (config.republish?.dest === republish.dest && config.allow_direct) return;
  log.warn({ bucket }, "bucket does not republish as it should; changed");
  await manager.streams.update(`KV_${bucket}`, { ...config, republish, allow_direct: true });
}

function isConflict(error: unknown): boolean {
  const { api_error: api } = error as { api_error?: { err_code?: number } };
  return api?.err_code === WRONG_REVISION;
}
