import { setImmediate as turn, setTimeout as delay } from "node:timers/promises";
import { WatchDeploymentResponse, type Replication } from "@slipway/proto";
import type { Context, Service } from "../context.js";
import { notFound } from "../errors.js";
import { missingRegions } from "../replication/deployable.js";
import type { StoredDeployment } from "./deployment.js";
import { findDeployment, findDeployments } from "./deployment-store.js";
import { Freshness } from "./freshness.js";
import { progressOf } from "./progress.js";
import { isFinal } from "./snapshot.js";
import { Watcher, type Outlet, type Update } from "./watcher.js";

/** At most four changes a second are sent. */
const MIN_INTERVAL_MS = 250;
/** What regions say at the same moment goes out as one change, not as the first and then the rest. */
const GATHER_MS = 25;
/** How long a first state waits for the replication database. */
const FIRST_WAIT_MS = 1_000;
/** Watchers that are told in one turn of the event loop. */
const TOLD_AT_ONCE = 128;

/** One deployment that somebody watches. */
interface Feed {
  id: string;
  watchers: Set<Watcher>;
  stored: StoredDeployment | undefined;
  /** Of its artifact, as far as known. */
  replications: readonly Replication[];
  /** All of its regions have it: not asked for again. */
  replicated: boolean;
  /** The first read of the row. */
  loaded: Promise<void>;
  update: Update | undefined;
  /** All watchers of the time were told of it. */
  told: Promise<void>;
  sentAt: number;
  timer: NodeJS.Timeout | undefined;
}

type FeedContext = Pick<
  Context,
  "db" | "events" | "status" | "replicationStatus" | "log" | "config" | "clock"
>;

/**
 * Fans deployments out to those who watch them: one read and one encoding for all watchers of a
 * deployment, and for each watcher the newest state only, however slowly it reads.
 */
export class DeploymentFeeds implements Service {
  readonly #context: FeedContext;
  readonly #feeds = new Map<string, Feed>();
  #stops: (() => void)[] = [];
  #polling = false;
  #readingReplications = false;
  /** Of the rows of all that is watched. */
  readonly #freshness = new Freshness();
  #staleSince: number | undefined;

  constructor(context: FeedContext) {
    this.#context = context;
  }

  start(): void {
    if (this.#stops.length > 0) return;
    const { events, status, config } = this.#context;
    const poll = setInterval(() => void this.#poll(), config.pollIntervalMs);
    this.#stops = [
      () => clearInterval(poll),
      events.subscribe("deployment", (id) => {
        if (id === undefined) void this.#poll();
        else void this.#refresh(this.#feeds.get(id));
      }),
      status.subscribe((application) => {
        for (const feed of this.#feeds.values()) {
          const own = feed.stored?.deployment.application;
          if (application === undefined || application === own) this.#schedule(feed);
        }
      }),
    ];
  }

  stop(): Promise<void> {
    for (const stop of this.#stops.splice(0)) stop();
    for (const feed of this.#feeds.values()) clearTimeout(feed.timer);
    return Promise.resolve();
  }

  /**
   * Sends the present state, encoded, then every change. Resolves when the final state was sent.
   * @param afterRevision what the watcher has already, and is not sent again; 0 for nothing.
   * @throws DomainError NOT_FOUND, or the signal's reason.
   */
  async watch(
    id: string,
    afterRevision: number,
    { out, signal }: { out: Outlet; signal: AbortSignal },
  ): Promise<void> {
    const watcher = new Watcher(out, afterRevision, signal);
    const feed = this.#join(id, watcher);
    feed.loaded.then(
      () => feed.update !== undefined && watcher.tell(feed.update),
      (error: Error) => watcher.fail(error),
    );
    try {
      await watcher.ended;
    } finally {
      feed.watchers.delete(watcher);
      if (feed.watchers.size === 0) this.#close(feed);
    }
  }

  #join(id: string, watcher: Watcher): Feed {
    const present = this.#feeds.get(id);
    if (present !== undefined) {
      present.watchers.add(watcher);
      return present;
    }
    const feed: Feed = {
      id,
      watchers: new Set([watcher]),
      stored: undefined,
      replications: [],
      replicated: false,
      loaded: Promise.resolve(),
      update: undefined,
      told: Promise.resolve(),
      sentAt: 0,
      timer: undefined,
    };
    // Registered before it is read, so that no change falls between.
    this.#feeds.set(id, feed);
    feed.loaded = this.#load(feed);
    feed.loaded.catch(() => undefined);
    return feed;
  }

  async #load(feed: Feed): Promise<void> {
    try {
      const began = this.#context.clock.now();
      const stored = await findDeployment(this.#context.db, feed.id);
      if (stored === undefined) throw notFound("deployment", feed.id);
      this.#freshness.read(began);
      this.#tellAge();
      // Not sent before all of it is read, unless it changes meanwhile or that takes long.
      feed.stored ??= stored;
      await Promise.race([this.#readReplications([feed]), delay(FIRST_WAIT_MS)]);
      this.#send(feed);
    } catch (error) {
      // Whoever comes next tries anew.
      this.#close(feed);
      throw error;
    }
  }

  /** Reads a deployment that was said to have changed; if that fails the poll reads it. */
  async #refresh(feed: Feed | undefined): Promise<void> {
    if (feed === undefined) return;
    try {
      const stored = await findDeployment(this.#context.db, feed.id);
      if (stored !== undefined) this.#take(feed, stored);
    } catch (error) {
      this.#context.log.warn({ err: error, deploymentId: feed.id }, "reading a deployment failed");
    }
  }

  /** Reads everything watched, in case a signal was lost, and how far its artifacts are. */
  async #poll(): Promise<void> {
    // By itself: a replication database that hangs says nothing of deployments.
    void this.#pollReplications();
    if (this.#polling) this.#tellAge();
    if (this.#polling || this.#feeds.size === 0) return;
    this.#polling = true;
    try {
      const began = this.#context.clock.now();
      for (const stored of await findDeployments(this.#context.db, [...this.#feeds.keys()])) {
        const feed = this.#feeds.get(stored.deployment.id);
        if (feed !== undefined) this.#take(feed, stored);
      }
      this.#freshness.read(began);
      this.#tellAge();
    } catch (error) {
      this.#freshness.failed();
      this.#tellAge();
      this.#context.log.warn({ err: error }, "reading watched deployments failed");
    } finally {
      this.#polling = false;
    }
  }

  /** Tells watchers that what they see may be old, once it may be, and once it is not any more. */
  #tellAge(): void {
    const since = this.#freshness.staleSince(this.#context.clock.now());
    if (since === this.#staleSince) return;
    this.#staleSince = since;
    for (const feed of this.#feeds.values()) this.#schedule(feed);
  }

  async #pollReplications(): Promise<void> {
    if (this.#readingReplications) return;
    this.#readingReplications = true;
    await this.#readReplications([...this.#feeds.values()]);
    this.#readingReplications = false;
  }

  /** Of artifacts that are not everywhere yet. That database being away ends no watch. */
  async #readReplications(feeds: readonly Feed[]): Promise<void> {
    const incomplete = feeds.filter(({ replicated }) => !replicated);
    const digests = incomplete.flatMap(({ stored }) => stored?.goal.run.artifactDigest ?? []);
    if (digests.length === 0) return;
    try {
      const known = await this.#context.replicationStatus.get([...new Set(digests)]);
      for (const feed of incomplete) {
        if (feed.stored === undefined) continue;
        const { regions, run } = feed.stored.goal;
        feed.replications = known.get(run.artifactDigest) ?? [];
        feed.replicated = missingRegions(regions, feed.replications).length === 0;
        this.#schedule(feed);
      }
    } catch (error) {
      this.#context.log.warn({ err: error }, "watches go on without replication");
    }
  }

  /** Keeps a row that was read, unless a newer one was read meanwhile. */
  #take(feed: Feed, stored: StoredDeployment): void {
    const known = feed.stored?.deployment.revision ?? -1;
    if (stored.deployment.revision <= known) return;
    feed.stored = stored;
    this.#schedule(feed);
  }

  #schedule(feed: Feed): void {
    if (feed.timer !== undefined || feed.watchers.size === 0) return;
    const due = feed.sentAt + MIN_INTERVAL_MS - this.#context.clock.now();
    const wait = Math.max(GATHER_MS, due);
    feed.timer = setTimeout(() => {
      const send = (): void => {
        feed.timer = undefined;
        this.#send(feed);
      };
      feed.told.then(send).catch((error: unknown) => {
        const { log } = this.#context;
        log.error({ err: error, deploymentId: feed.id }, "watchers could not be told");
      });
    }, wait);
  }

  #send(feed: Feed): void {
    // After the final state counts go on changing; nobody is to see that.
    if (feed.stored === undefined || feed.update?.final === true) return;
    feed.sentAt = this.#context.clock.now();
    const { deployment, snapshot } = feed.stored;
    const progress = progressOf(this.#context, feed.stored, feed.replications);
    const staleSince = this.#staleSince === undefined ? undefined : new Date(this.#staleSince);
    const response = { deployment, ...progress, staleSince };
    const bytes = Buffer.from(WatchDeploymentResponse.encode(response).finish());
    if (feed.update?.bytes.equals(bytes) === true) return;
    const update = { bytes, revision: deployment.revision, final: isFinal(snapshot.state) };
    feed.update = update;
    feed.told = feed.told.then(() => tell([...feed.watchers], update));
  }

  #close(feed: Feed): void {
    clearTimeout(feed.timer);
    if (this.#feeds.get(feed.id) === feed) this.#feeds.delete(feed.id);
  }
}

/**
 * In turns: the bytes of the first leave, and are read, while the last are still to be told, and no
 * other call waits for thousands.
 */
async function tell(watchers: readonly Watcher[], update: Update): Promise<void> {
  for (const [index, watcher] of watchers.entries()) {
    if (index > 0 && index % TOLD_AT_ONCE === 0) await turn();
    watcher.tell(update);
  }
}
