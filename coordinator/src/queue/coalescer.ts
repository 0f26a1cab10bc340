import { setTimeout as delay } from "node:timers/promises";
import { resourceExhausted } from "../errors.js";
import { backoffMs } from "../retry.js";

export interface CoalescerOptions<Item, Result> {
  /** Does all of it in one statement; answers one result an item, in order. An Error rejects its item. */
  run(items: readonly Item[]): Promise<readonly (Result | Error)[]>;
  /** Items a statement. Default 500. */
  maxBatch?: number;
  /** Items that may wait; more are refused. Default 20,000. */
  maxWaiting?: number;
}

interface Waiting<Item, Result> {
  item: Item;
  /** Whoever asked still wants it. */
  signal: AbortSignal | undefined;
  resolve: (result: Result) => void;
  reject: (error: unknown) => void;
}

const ATTEMPTS = 4;
/** After a smaller batch the next one gathers for so long: a statement costs more than its rows. */
const SMALL_BATCH = 50;
const GATHER_MS = 1;

/**
 * Makes one statement of the calls that wait together, and answers them after it has committed. One
 * statement is in flight at a time: while it runs, and for a moment after a small one, the next batch
 * gathers.
 */
export class Coalescer<Item, Result> {
  readonly #options: Required<CoalescerOptions<Item, Result>>;
  #waiting: Waiting<Item, Result>[] = [];
  #running = false;

  constructor(options: CoalescerOptions<Item, Result>) {
    this.#options = { maxBatch: 500, maxWaiting: 20_000, ...options };
  }

  /** @param signal - Aborted before the item's batch begins, nothing is done, and its reason thrown. */
  submit(item: Item, signal?: AbortSignal): Promise<Result> {
    if (this.#waiting.length >= this.#options.maxWaiting) {
      const message = `${this.#waiting.length} calls wait for the database; try again later`;
      return Promise.reject(resourceExhausted("DATABASE_BUSY", message));
    }
    return new Promise((resolve, reject) => {
      this.#waiting.push({ item, signal, resolve, reject });
      if (!this.#running) void this.#drain();
    });
  }

  async #drain(): Promise<void> {
    this.#running = true;
    // Calls that arrive in the same turn of the event loop go together.
    await new Promise((resolve) => setImmediate(resolve));
    while (this.#waiting.length > 0) {
      const batch = wanted(this.#waiting.splice(0, this.#options.maxBatch));
      if (batch.length === 0) continue;
      try {
        const results = await this.#run(batch.map(({ item }) => item));
        for (const [index, { resolve, reject }] of batch.entries()) {
          const result = results[index];
          if (result instanceof Error) reject(result);
          else resolve(result as Result);
        }
      } catch (error) {
        for (const { reject } of batch) reject(error);
      }
      if (batch.length < SMALL_BATCH) await delay(GATHER_MS);
    }
    this.#running = false;
  }

  /** Batches of different kinds may lock the same rows in another order: the one that loses tries again. */
  async #run(items: readonly Item[]): Promise<readonly (Result | Error)[]> {
    for (let failures = 1; ; failures += 1) {
      try {
        return await this.#options.run(items);
      } catch (error) {
        if (failures >= ATTEMPTS || !isLostRace(error)) throw error;
        await delay(backoffMs(failures, { firstMs: 5, maxMs: 50 }));
      }
    }
  }
}

/** Those that somebody waits for still; the others are told so. */
function wanted<Item, Result>(all: readonly Waiting<Item, Result>[]): Waiting<Item, Result>[] {
  return all.filter(({ signal, reject }) => {
    if (signal?.aborted !== true) return true;
    reject(signal.reason);
    return false;
  });
}

/** Deadlock or serialisation failure: nothing was done. */
function isLostRace(error: unknown): boolean {
  const code = error instanceof Error ? (error as { code?: unknown }).code : undefined;
  return code === "40P01" || code === "40001";
}
