import {
  GLOBAL_GOALS_BUCKET,
  GOAL_DIGEST_KEY,
  KEY_SET_KEY,
  NAME_PATTERN,
  regionGoalsBucket,
  REVOCATIONS_KEY,
  type Goal,
} from "@slipway/proto";
import type { KV } from "nats";
import { backOffMs } from "../back-off.js";
import type { Logger } from "../log.js";
import type { NatsLink } from "../nats/link.js";
import { isWrongRevision } from "../nats/wrong-revision.js";
import { pause } from "../pause.js";
import { RevocationReader } from "../revocation/revocation-reader.js";
import type { Revocations } from "../revocation/verify-revocations.js";
import type { Trust } from "../trust/open-trust.js";
import type { GoalKeys } from "../trust/trusted-keys.js";
import { KeySetReader, newest, type Versioned } from "./key-set-reader.js";
import { KvMirror, type MirrorEntry } from "./kv-mirror.js";
import { encodeDigest, replaces, type RegionGoal } from "./plan-goals.js";
import { GoalReader } from "./goal-reader.js";
import { prepareGoalsBucket } from "./prepare-goals-bucket.js";
import { StrayKeys } from "./stray-keys.js";

const RETRY = { baseMs: 250, maxMs: 10_000 };

interface GoalCopierOptions {
  region: string;
  globalLink: NatsLink;
  regionLink: NatsLink;
  /** Whether this agent leads the region: only then it writes. */
  leading: () => boolean;
  /** Goals that none of these signed are not copied. Undefined: that is left to the hosts. */
  keys?: GoalKeys | undefined;
  /** Whose key sets are copied. Default: those of the right form. */
  trust?: Trust | undefined;
  /** A list of revoked hosts was seen; it may be old, or known. Nobody has checked it without keys. */
  onRevocations?: ((list: Revocations) => void) | undefined;
  log: Logger;
  /** See KvMirror. */
  pollMs?: number | undefined;
  /** How long a key of no application is left alone. Default: see StrayKeys. */
  strayAfterMs?: number | undefined;
}

/**
 * Copies the region's part of every global goal, the key set, and the list of revoked hosts to the
 * region's bucket, if it is newer than what is there, keeps the bucket's digest, and takes out what
 * somebody has put there for applications that there are not. The agent that leads does; as writes are compare-and-set, two that believe they do, for a moment, do no harm.
 */
export class GoalCopier {
  /** Counters, for whoever watches the agent. */
  readonly stats = { copied: 0, conflicts: 0, digests: 0, revocations: 0, keySets: 0, removed: 0 };
  readonly #options: GoalCopierOptions;
  readonly #global: KvMirror;
  readonly #regional: KvMirror;
  readonly #reader: GoalReader;
  readonly #keySetReader: KeySetReader;
  readonly #revocationReader: RevocationReader;
  readonly #controller = new AbortController();
  readonly #strays: StrayKeys;
  #goals: ReadonlyMap<string, Goal> = new Map();
  #strayTimer: NodeJS.Timeout | undefined;
  #dirty = false;
  #wake: () => void = () => {};
  #loop: Promise<void> | undefined;

  constructor(options: GoalCopierOptions) {
    this.#options = options;
    const { region, log, pollMs, globalLink, regionLink } = options;
    this.#strays = new StrayKeys(options.strayAfterMs);
    this.#reader = new GoalReader(options);
    this.#keySetReader = new KeySetReader(options.trust, log);
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
      prepare: (connection) => prepareGoalsBucket(connection, region, log),
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
    await this.#loop;
    clearTimeout(this.#strayTimer);
    await Promise.all([this.#global.stop(), this.#regional.stop()]);
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
        if (!isWrongRevision(error) && !signal.aborted)
          this.#options.log.warn({ err: error }, "goals cannot be copied");
        await pause(waitMs, signal);
      }
    }
  }

  /** Brings the regional bucket up to what both mirrors say. */
  async #reconcile(): Promise<void> {
    const { leading } = this.#options;
    const keySets = this.#keySetReader;
    // First: the rest is checked by it.
    const keySet = newest(keySets.read(this.#global.entries, "global"), keySets.held);
    const keySetThere = keySets.read(this.#regional.entries, "regional");
    const wanted = this.#reader.readGlobal(this.#global.entries);
    const entries = this.#regional.entries;
    const there = this.#reader.readRegional(entries);
    this.#setGoals(wanted, there, entries);
    const revoked = this.#readRevocations(this.#global.entries, "global");
    const revokedThere = this.#readRevocations(entries, "regional");
    const { kv } = this.#regional;
    if (entries === undefined || kv === undefined) return;
    const versions = {
      keySetVersion: await this.#copy(kv, KEY_SET_KEY, keySet, keySetThere),
      revocationsVersion: await this.#copy(kv, REVOCATIONS_KEY, revoked, revokedThere),
    };
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
    const digest = encodeDigest(goals, versions);
    const known = entries.get(GOAL_DIGEST_KEY);
    if (known === undefined ? digest.length > 0 : !digest.equals(known.value)) {
      await this.#write(kv, GOAL_DIGEST_KEY, digest, known);
      this.stats.digests += 1;
    }
    await this.#removeStrays(kv, there, entries);
  }

  /**
   * What is in the region and was never copied there: of no application in the global bucket, and
   * nothing that the fleet has signed. Hosts refuse it, and say so, for as long as it is there.
   */
  async #removeStrays(
    kv: KV,
    there: ReadonlyMap<string, RegionGoal>,
    entries: ReadonlyMap<string, MirrorEntry>,
  ): Promise<void> {
    const { globalLink, log } = this.#options;
    const known = globalLink.connection === undefined ? undefined : this.#global.entries;
    const strays = [...entries].filter(([key]) => {
      return NAME_PATTERN.test(key) && known?.has(key) === false && !there.has(key);
    });
    const now = performance.now();
    this.#strays.see(new Map(strays.map(([key, { revision }]) => [key, revision])), now);
    for (const [application, revision] of this.#strays.due(now)) {
      this.#controller.signal.throwIfAborted();
      // That revision only: another one may have come while the one before was removed.
      await this.#remove(kv, application, revision);
      this.stats.removed += 1;
      log.error(
        { application },
        "a goal of no application, that the fleet has not signed, was removed from the region",
      );
    }
    clearTimeout(this.#strayTimer);
    const waitMs = this.#strays.dueInMs(now);
    if (waitMs !== undefined) this.#strayTimer = setTimeout(() => this.reconcileSoon(), waitMs);
  }

  async #remove(kv: KV, key: string, revision: number): Promise<void> {
    try {
      await kv.delete(key, { previousSeq: revision });
      this.#regional.drop(key, revision);
    } catch (error) {
      this.#noteConflict(error);
      throw error;
    }
  }

  #noteConflict(error: unknown): void {
    if (!isWrongRevision(error)) return;
    // Another agent was faster: what it wrote comes with the watch.
    this.stats.conflicts += 1;
    this.#regional.reload();
  }

  /** The version that the region has in the end. */
  async #copy(
    kv: KV,
    key: typeof KEY_SET_KEY | typeof REVOCATIONS_KEY,
    wanted: Versioned | undefined,
    there: Versioned | undefined,
  ): Promise<number> {
    const known = there?.version ?? 0;
    if (wanted === undefined || wanted.version <= known || !this.#options.leading()) return known;
    await this.#write(kv, key, wanted.signed, this.#regional.entries?.get(key));
    this.stats[key === KEY_SET_KEY ? "keySets" : "revocations"] += 1;
    const { version } = wanted;
    this.#options.log.info({ key, version }, "copied to the region");
    return version;
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
      this.#noteConflict(error);
      throw error;
    }
  }

  #setGoals(
    wanted: ReadonlyMap<string, RegionGoal>,
    there: ReadonlyMap<string, RegionGoal>,
    entries: ReadonlyMap<string, MirrorEntry> | undefined,
  ): void {
    const goals = new Map<string, Goal>();
    // Hosts go on by what they obeyed, also once its key holds no more: they are counted by it.
    for (const [application, goal] of this.#goals) {
      if (entries?.has(application) === true) goals.set(application, goal);
    }
    for (const [application, { goal }] of there) goals.set(application, goal);
    for (const [application, goal] of wanted) {
      if (replaces(goal, there.get(application))) goals.set(application, goal.goal);
    }
    this.#goals = goals;
  }
}
