import { ReplicationState, type WatchReplicationTargetsResponse } from "@slipway/proto";
import { backOffMs } from "../back-off.js";
import {
  BlobStoreError,
  copyArtifact,
  verifyArtifact,
  type BlobStore,
  type BlobWrite,
  type TransferFollower,
} from "../blob/index.js";
import { pause } from "../pause.js";
import { hasLength } from "./has-length.js";
import type { HeldArtifacts } from "./held-artifacts.js";
import { ReplicationReporter, type ReporterOptions } from "./replication-reporter.js";

const RETRY = { baseMs: 1_000, maxMs: 60_000 };
const STREAM_RETRY = { baseMs: 250, maxMs: 10_000 };
const REPORT_EVERY_MS = 1_000;
const MESSAGE_MAX = 2_000;
const COPIES = 2;
/** Between looks whether the agent that leads has copied an artifact into the shared store. */
const SHARED_LOOK_MS = 2_000;

interface ReplicatorOptions extends ReporterOptions {
  main: BlobStore;
  regional: BlobStore;
  /** Whether the region's agents have one store together: then only the one that leads copies. */
  shared: boolean;
  /** What was seen in the regional store; loaded. */
  held: HeldArtifacts;
  /** Chunks of an artifact come into the regional store: they may be shared already. */
  onBegin: (write: BlobWrite) => TransferFollower;
  /** The regional store has this artifact now. */
  onComplete: (digest: string) => void;
  /** Between checks that what was held is still there, in ms. */
  recheckMs: number;
}

interface Pending {
  attempt: number;
  /** It was damaged or lost here: copied whoever leads. */
  repair: boolean;
}

/**
 * Copies artifacts from the main blob store to the region's, as the coordinator names them, and
 * says how far it is if this agent leads. What fails is tried again as long as the agent runs.
 */
export class Replicator {
  readonly stats = { completed: 0, failures: 0, lost: 0, damaged: 0 };
  readonly #options: ReplicatorOptions;
  readonly #controller = new AbortController();
  readonly #reporter: ReplicationReporter;
  /** Named and not complete here: waiting, being copied, or between two tries. */
  readonly #pending = new Map<string, Pending>();
  readonly #queue: string[] = [];
  readonly #suspects = new Set<string>();
  /** The last one of which every byte was read. */
  #readThrough = "";
  #running = 0;
  #recheckSoon: () => void = () => {};
  readonly #tasks = new Set<Promise<void>>();

  constructor(options: ReplicatorOptions) {
    this.#options = options;
    this.#reporter = new ReplicationReporter(options, this.#controller.signal);
  }

  start(): void {
    this.#track(this.#watch());
    this.#track(this.#recheckNowAndThen());
  }

  async stop(): Promise<void> {
    this.#controller.abort(new Error("the agent stops"));
    while (this.#tasks.size > 0) await Promise.all(this.#tasks);
  }

  /** This agent leads now: what is here is to be reported. */
  onLead(): void {
    this.#recheckSoon();
  }

  /** Somebody got wrong bytes of this artifact: reads all of it, and repairs it if need be. */
  suspect(digest: string): void {
    if (this.#suspects.has(digest)) return;
    this.#suspects.add(digest);
    this.#track(this.#readAll(digest).finally(() => this.#suspects.delete(digest)));
  }

  /**
   * Looks whether everything that the store held is still there, in its whole length, and reads
   * every byte of one of them, another each time; repairs what is not right.
   */
  async recheck(): Promise<void> {
    const { regional, held } = this.#options;
    const { signal } = this.#controller;
    for await (const digest of regional.list()) held.add(digest);
    await held.save();
    for (const digest of held.list()) {
      signal.throwIfAborted();
      if (this.#pending.has(digest)) continue;
      const found = await regional.stat(digest);
      if (found === undefined) {
        this.stats.lost += 1;
        await this.#repair(digest, "gone from the regional blob store");
      } else if (await hasLength(regional, digest, found.sizeBytes)) {
        await this.#reporter.report(digest, ReplicationState.COMPLETE, found.sizeBytes, "");
      } else {
        await this.#replace(digest);
      }
    }
    const all = held.list().sort();
    const next = all.find((digest) => digest > this.#readThrough) ?? all[0];
    if (next === undefined) return;
    this.#readThrough = next;
    await this.#readAll(next);
  }

  async #readAll(digest: string): Promise<void> {
    const { regional } = this.#options;
    const { signal } = this.#controller;
    if (this.#pending.has(digest)) return;
    try {
      await verifyArtifact(regional, digest, { signal });
    } catch (error) {
      if (!(error instanceof BlobStoreError) || error.reason !== "corrupt") throw error;
      await this.#replace(digest);
    }
  }

  /** What is there is not the artifact, and a copy would take it for that. */
  async #replace(digest: string): Promise<void> {
    this.stats.damaged += 1;
    await this.#options.regional.delete(digest);
    await this.#repair(digest, "damaged in the regional blob store");
  }

  async #repair(digest: string, what: string): Promise<void> {
    const { held, log } = this.#options;
    log.error({ digest }, `artifact is ${what}`);
    // Once the coordinator knows, it asks for the artifact again by itself.
    if (await this.#reporter.report(digest, ReplicationState.FAILED, 0, what)) held.delete(digest);
    this.#enqueue(digest, true);
  }

  #track(task: Promise<void>): void {
    const tracked = task
      .catch((error: unknown) => {
        if (!this.#controller.signal.aborted)
          this.#options.log.error({ err: error }, "replication failed");
      })
      .finally(() => this.#tasks.delete(tracked));
    this.#tasks.add(tracked);
  }

  async #watch(): Promise<void> {
    const { signal } = this.#controller;
    const { client, region, reach } = this.#options;
    for (let attempt = 0; !signal.aborted; attempt += 1) {
      const stream = client.watchReplicationTargets({ region });
      stream.once("metadata", () => reach.answered());
      const cancel = (): void => stream.cancel();
      signal.addEventListener("abort", cancel, { once: true });
      try {
        for await (const target of stream as AsyncIterable<WatchReplicationTargetsResponse>) {
          attempt = 0;
          this.#enqueue(target.artifactDigest);
        }
      } catch (error) {
        if (!signal.aborted) reach.failed(error, "replication targets cannot be watched");
      } finally {
        signal.removeEventListener("abort", cancel);
      }
      await pause(backOffMs(attempt, STREAM_RETRY), signal);
    }
  }

  async #recheckNowAndThen(): Promise<void> {
    const { signal } = this.#controller;
    const { recheckMs, shared, leading, log } = this.#options;
    while (!signal.aborted) {
      const woken = new AbortController();
      this.#recheckSoon = () => woken.abort();
      try {
        if (!shared || leading()) await this.recheck();
      } catch (error) {
        if (!signal.aborted) log.warn({ err: error }, "held artifacts cannot be checked");
      }
      const waitMs = recheckMs * (0.9 + Math.random() * 0.2);
      await pause(waitMs, AbortSignal.any([signal, woken.signal]));
    }
  }

  #enqueue(digest: string, repair = false): void {
    if (this.#pending.has(digest)) return;
    this.#pending.set(digest, { attempt: 0, repair });
    this.#queue.push(digest);
    this.#next();
  }

  #next(): void {
    while (this.#running < COPIES && !this.#controller.signal.aborted) {
      const digest = this.#queue.shift();
      if (digest === undefined) return;
      this.#running += 1;
      this.#track(
        this.#copy(digest).finally(() => {
          this.#running -= 1;
          this.#next();
        }),
      );
    }
  }

  async #copy(digest: string): Promise<void> {
    const { main, regional, held, onComplete, log } = this.#options;
    const { signal } = this.#controller;
    const started = performance.now();
    try {
      if (await this.#isAnothers(digest)) {
        this.#later(digest, SHARED_LOOK_MS);
        return;
      }
      await this.#copyReporting(digest, main, regional, signal);
      const found = await regional.stat(digest);
      if (found === undefined) throw new Error("the artifact is not there after its copy");
      held.add(digest);
      await held.save();
      this.stats.completed += 1;
      onComplete(digest);
      const durationMs = Math.round(performance.now() - started);
      log.info({ digest, sizeBytes: found.sizeBytes, durationMs }, "artifact replicated");
      await this.#reporter.complete(digest, found.sizeBytes);
      this.#pending.delete(digest);
    } catch (error) {
      if (signal.aborted) return;
      this.stats.failures += 1;
      log.warn({ err: error, digest }, "artifact cannot be replicated yet");
      const message = (error instanceof Error ? error.message : String(error)).slice(
        0,
        MESSAGE_MAX,
      );
      await this.#reporter.report(digest, ReplicationState.FAILED, 0, message);
      const entry = this.#pending.get(digest);
      if (entry === undefined) return;
      this.#later(digest, backOffMs(entry.attempt, RETRY));
      entry.attempt += 1;
    }
  }

  /** Whether the agent that leads is to copy it into the store that both have, and has not yet. */
  async #isAnothers(digest: string): Promise<boolean> {
    const { shared, leading, regional } = this.#options;
    if (!shared || leading() || this.#pending.get(digest)?.repair === true) return false;
    return (await regional.stat(digest)) === undefined;
  }

  async #copyReporting(
    digest: string,
    main: BlobStore,
    regional: BlobStore,
    signal: AbortSignal,
  ): Promise<void> {
    if ((await regional.stat(digest)) !== undefined) return;
    let reporting: Promise<void> | undefined;
    let reportedAt = Number.NEGATIVE_INFINITY;
    await copyArtifact(main, regional, digest, {
      signal,
      follow: this.#options.onBegin,
      onProgress: ({ bytesDone }) => {
        if (reporting !== undefined || performance.now() - reportedAt < REPORT_EVERY_MS) return;
        reportedAt = performance.now();
        reporting = this.#reporter
          .report(digest, ReplicationState.COPYING, bytesDone, "")
          .then(() => {
            reporting = undefined;
          });
      },
    });
    // A late report of progress must not come behind the one that says complete.
    await reporting;
  }

  /** Tries again later, without keeping a place among the copies. */
  #later(digest: string, waitMs: number): void {
    const wait = async (): Promise<void> => {
      await pause(waitMs, this.#controller.signal);
      this.#queue.push(digest);
      this.#next();
    };
    this.#track(wait());
  }
}
