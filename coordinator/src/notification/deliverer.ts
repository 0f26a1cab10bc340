import { setTimeout as delay } from "node:timers/promises";
import type { Context, Service } from "../context.js";
import { backoffMs } from "../retry.js";
import { Wake } from "../wake.js";
import * as store from "./delivery-store.js";
import { post } from "./post.js";

const CONCURRENCY = 16;
/** Longer than an attempt may take. */
const CLAIM_MS = 30_000;
/** From the notification to the last attempt. */
const GIVE_UP_MS = 24 * 3_600_000;
const STOP_MS = 2_000;

type DelivererContext = Pick<Context, "db" | "events" | "log" | "clock" | "config" | "stats"> & {
  secret: string;
  /** Between attempts. Default: from 5 s up to an hour. */
  retry?: { firstMs: number; maxMs: number };
};

/**
 * Sends notifications from the outbox, at least once each: one that is sent and not marked, because
 * this process was killed between the two, is sent again with the same id.
 */
export class Deliverer implements Service {
  readonly #context: DelivererContext;
  readonly #stop = new AbortController();
  /** Cuts attempts off. */
  readonly #cut = new AbortController();
  readonly #wake = new Wake();
  readonly #attempts = new Set<Promise<void>>();
  #running: Promise<void> | undefined;

  constructor(context: DelivererContext) {
    this.#context = context;
  }

  start(): void {
    if (!this.#stop.signal.aborted) this.#running ??= this.#run();
  }

  /** Lets attempts end for a moment. What is cut off is tried again by whoever is there. */
  async stop(): Promise<void> {
    this.#stop.abort();
    await this.#running;
    const over = new AbortController();
    const late = delay(STOP_MS, undefined, { signal: over.signal }).catch(() => undefined);
    await Promise.race([Promise.all(this.#attempts), late]);
    over.abort();
    this.#cut.abort(new Error("this coordinator stops"));
    await Promise.all(this.#attempts);
  }

  async #run(): Promise<void> {
    const { signal } = this.#stop;
    const { events, config, log } = this.#context;
    // Whatever is to be told of is a change of a deployment.
    const unsubscribe = events.subscribe("deployment", () => this.#wake.signal());
    for (let failures = 0; !signal.aborted;) {
      let timeoutMs = config.pollIntervalMs;
      try {
        await this.#claim();
        failures = 0;
      } catch (error) {
        failures += 1;
        timeoutMs = backoffMs(failures, { firstMs: timeoutMs, maxMs: 30_000 });
        log.warn({ err: error, failures }, "looking for notifications failed; trying again");
      }
      await this.#wake.next({ timeoutMs, signal }).catch(() => undefined);
    }
    unsubscribe();
  }

  async #claim(): Promise<void> {
    const limit = CONCURRENCY - this.#attempts.size;
    if (limit === 0) return;
    const claimed = await store.claimDue(this.#context.db, { limit, claimMs: CLAIM_MS });
    for (const notification of claimed) {
      const attempt = this.#attempt(notification).finally(() => {
        this.#attempts.delete(attempt);
        // There may be more than there was room for.
        if (claimed.length === limit) this.#wake.signal();
      });
      this.#attempts.add(attempt);
    }
  }

  async #attempt(claimed: store.Claimed): Promise<void> {
    const { db, log, clock, secret, stats } = this.#context;
    const { id, url, attempts } = claimed;
    try {
      const failure = await post(claimed, { secret, now: clock.now(), signal: this.#cut.signal });
      if (failure === undefined) {
        await store.setDelivered(db, id);
        stats.notifications.add("delivered");
        log.debug({ notificationId: id, url, attempts }, "notification delivered");
      } else if (this.#cut.signal.aborted) {
        await store.setFailed(db, id, failure, 0);
      } else {
        await this.#failed(claimed, failure);
      }
    } catch (error) {
      // It is tried again when the claim has run out.
      log.warn({ err: error, notificationId: id }, "a notification could not be marked");
    }
  }

  async #failed({ id, url, attempts, ageMs }: store.Claimed, failure: string): Promise<void> {
    const { db, log, stats, retry = { firstMs: 5_000, maxMs: 3_600_000 } } = this.#context;
    const retryMs = backoffMs(attempts, retry);
    const said = { notificationId: id, url, attempts, failure };
    if (ageMs + retryMs <= GIVE_UP_MS) {
      await store.setFailed(db, id, failure, retryMs);
      stats.notifications.add("failed");
      log.info({ ...said, retryMs }, "notification not delivered; trying again");
    } else {
      await store.setGivenUp(db, id, failure);
      stats.notifications.add("given_up");
      log.error(said, "notification given up: its hook has not taken it for a day");
    }
  }
}
