import { once } from "node:events";
import { setTimeout as delay } from "node:timers/promises";
import {
  GOAL_DIGEST_KEY,
  GoalDigest,
  goalSubject,
  KEY_SET_KEY,
  NAME_PATTERN,
  regionGoalsBucket,
  REVOCATIONS_KEY,
  type GoalVersion,
} from "@slipway/proto";
import type { Msg, NatsConnection } from "nats";
import { backOffMs } from "../back-off.js";
import type { Logger } from "../log.js";
import type { NatsLink } from "../nats/link.js";

const RETRY = { baseMs: 500, maxMs: 30_000 };
const POLL_MIN_MS = 30_000;
const POLL_SPREAD_MS = 30_000;
const REQUEST_TIMEOUT_MS = 2_000;
const NOT_FOUND = 404;
const SECOND_LOOK_MIN_MS = 250;
const SECOND_LOOK_SPREAD_MS = 2_000;

/** Who wants one of the values that are not goals: the key set, or the list of revoked hosts. */
interface Sink {
  /** Of the value that is known. */
  readonly version: number;
  /** A value has come, unverified; it may be old, or known. */
  onValue: (signed: Buffer) => void;
}

interface GoalFollowerOptions {
  link: NatsLink;
  region: string;
  log: Logger;
  /** Whether the host has not seen this version yet, and its selector takes the host. */
  wants: (version: GoalVersion) => boolean;
  /** A goal has come, unverified; it may be old, or known. */
  onGoal: (application: string, signed: Buffer) => void;
  /** Default: nobody wants it. */
  keySet?: Sink | undefined;
  revocations?: Sink | undefined;
  /** Between polls, in ms. Default: 30 to 60 s by chance. */
  pollMs?: (() => number) | undefined;
}

/**
 * Follows the region's goals: listens to what its bucket republishes, and reads the bucket's digest
 * at start, after a reconnect and now and then, since a republished message may be lost.
 */
export class GoalFollower {
  readonly #options: GoalFollowerOptions;
  readonly #controller = new AbortController();
  #wake: () => void = () => {};
  #newestDigest: Uint8Array = new Uint8Array();
  #second: NodeJS.Timeout | undefined;
  #soon: NodeJS.Timeout | undefined;
  #loop: Promise<void> | undefined;

  constructor(options: GoalFollowerOptions) {
    this.#options = options;
  }

  /** To be called before the link is started. */
  start(): void {
    const { link, region } = this.#options;
    link.onConnected((connection, first) => {
      if (first) {
        connection.subscribe(goalSubject(region, "*"), {
          callback: (error, message) => {
            if (error === null) this.#onMessage(message);
            else this.#options.log.error({ err: error }, "goal subscription failed");
          },
        });
      }
      this.#wake();
    });
    this.#loop ??= this.#run();
  }

  /** What was refused before may be good by now: reads it, not at the same moment as all others. */
  lookSoon(): void {
    this.#soon ??= setTimeout(() => {
      this.#soon = undefined;
      this.#wake();
    }, secondLookMs());
  }

  async stop(): Promise<void> {
    this.#controller.abort();
    clearTimeout(this.#second);
    clearTimeout(this.#soon);
    this.#wake();
    await this.#loop;
  }

  #onMessage(message: Msg): void {
    const key = message.subject.slice(message.subject.lastIndexOf(".") + 1);
    // A deletion is republished without a value; an application that is absent changes nothing.
    if (message.data.length === 0) return;
    if (key === GOAL_DIGEST_KEY) this.#onDigest(message.data);
    else if (key === KEY_SET_KEY) this.#options.keySet?.onValue(Buffer.from(message.data));
    else if (key === REVOCATIONS_KEY) {
      this.#options.revocations?.onValue(Buffer.from(message.data));
    } else this.#deliver(key, message.data);
  }

  /**
   * A digest follows every goal. Only a host that has missed the goal itself reads the bucket, and
   * not at the same moment as all others that have.
   */
  #onDigest(data: Uint8Array): void {
    this.#newestDigest = data;
    this.#second ??= setTimeout(() => {
      this.#second = undefined;
      try {
        const digest = GoalDigest.decode(this.#newestDigest);
        const wanted = digest.goals.some((version) => this.#options.wants(version));
        if (wanted || this.#missed(digest).length > 0) this.#wake();
      } catch (error) {
        this.#options.log.warn({ err: error }, "digest cannot be decoded");
      }
    }, secondLookMs());
  }

  /** Keys of what the digest says there is, and is not known; the key set first: others go by it. */
  #missed({ keySetVersion, revocationsVersion }: GoalDigest): { key: string; sink: Sink }[] {
    const { keySet, revocations } = this.#options;
    return [
      { key: KEY_SET_KEY, sink: keySet, version: keySetVersion },
      { key: REVOCATIONS_KEY, sink: revocations, version: revocationsVersion },
    ].flatMap(({ key, sink, version }) =>
      sink !== undefined && version > sink.version ? [{ key, sink }] : [],
    );
  }

  #deliver(application: string, data: Uint8Array): void {
    if (NAME_PATTERN.test(application)) this.#options.onGoal(application, Buffer.from(data));
    else
      this.#options.log.warn(
        { application: application.slice(0, 100) },
        "goal for no name dropped",
      );
  }

  async #run(): Promise<void> {
    const { signal } = this.#controller;
    const {
      link,
      log,
      pollMs = () => POLL_MIN_MS + Math.random() * POLL_SPREAD_MS,
    } = this.#options;
    const aborted = once(signal, "abort").then(() => Promise.reject(new Error("stopped")));
    aborted.catch(() => {
      // Only looked at during a poll.
    });
    let attempt = 0;
    while (!signal.aborted) {
      const woken = new Promise<void>((resolve) => {
        this.#wake = resolve;
      });
      const { connection } = link;
      let waitMs = pollMs();
      if (connection !== undefined) {
        try {
          // NATS cannot take a request back, and whoever stops this must not wait for its end.
          await Promise.race([this.#poll(connection), aborted]);
          attempt = 0;
        } catch (error) {
          waitMs = Math.min(waitMs, backOffMs(attempt, RETRY));
          attempt += 1;
          // Before the region's first goal there is no bucket, which is nobody's fault.
          if (!signal.aborted)
            log.debug({ err: error, retryInMs: Math.round(waitMs) }, "goals not read");
        }
      }
      const timer = new AbortController();
      await Promise.race([
        woken,
        delay(waitMs, undefined, { signal: timer.signal }).catch(() => {}),
      ]);
      timer.abort();
    }
  }

  async #poll(connection: NatsConnection): Promise<void> {
    const bytes = await this.#read(connection, GOAL_DIGEST_KEY);
    if (bytes === undefined) return;
    const digest = GoalDigest.decode(bytes);
    for (const { key, sink } of this.#missed(digest)) {
      const value = await this.#read(connection, key);
      if (value !== undefined) sink.onValue(Buffer.from(value));
    }
    for (const version of digest.goals) {
      if (this.#controller.signal.aborted) return;
      if (!NAME_PATTERN.test(version.application) || !this.#options.wants(version)) continue;
      const goal = await this.#read(connection, version.application);
      if (goal !== undefined) this.#deliver(version.application, goal);
    }
  }

  /** The newest value of a key, by a direct read, which needs no consumer. */
  async #read(connection: NatsConnection, key: string): Promise<Uint8Array | undefined> {
    const bucket = regionGoalsBucket(this.#options.region);
    const subject = `$JS.API.DIRECT.GET.KV_${bucket}.$KV.${bucket}.${key}`;
    const answer = await connection.request(subject, undefined, { timeout: REQUEST_TIMEOUT_MS });
    const status = answer.headers?.code ?? 0;
    if (status === NOT_FOUND) return undefined;
    if (status >= 300) throw new Error(`${subject}: ${status} ${answer.headers?.description}`);
    return answer.data.length === 0 ? undefined : answer.data;
  }
}

function secondLookMs(): number {
  return SECOND_LOOK_MIN_MS + Math.random() * SECOND_LOOK_SPREAD_MS;
}
