import { ApplicationGoal, GLOBAL_GOALS_BUCKET } from "@slipway/proto";
import { StorageType, type KV, type NatsConnection } from "nats";
import type { Logger } from "pino";
import type { Stats } from "../stats.js";

const REQUEST_TIMEOUT_MS = 2_000;
const KEY_PREFIX = `$KV.${GLOBAL_GOALS_BUCKET}.`;
/** Error code of the server: the key has another revision than was expected. */
const WRONG_LAST_SEQUENCE = 10_071;

/** A key of the bucket. */
export interface GoalEntry {
  /** Undefined if the key was deleted or holds what can't be read. */
  goal: ApplicationGoal | undefined;
  /** Of the key, for a compare-and-set. */
  revision: number;
}

/** The global goals bucket. It is made when it is missing, also when it was lost meanwhile. */
export class GoalBucket {
  readonly #nats: NatsConnection;
  readonly #log: Logger;
  readonly #stats: Pick<Stats, "goalWrites" | "nonsense">;
  #kv: Promise<KV> | undefined;

  constructor(
    nats: NatsConnection,
    { log, stats }: { log: Logger; stats: Pick<Stats, "goalWrites" | "nonsense"> },
  ) {
    this.#nats = nats;
    this.#log = log;
    this.#stats = stats;
  }

  /** Makes the bucket if it is missing, for those who wait for it. @throws NatsError if NATS is away. */
  async prepare(): Promise<void> {
    this.#kv = undefined;
    await this.#open();
  }

  /** Reads a key; undefined if it was never written. @throws NatsError if NATS is away. */
  async get(application: string): Promise<GoalEntry | undefined> {
    const entry = await this.getValue(application);
    if (entry === undefined) return undefined;
    const { value, revision } = entry;
    if (value === undefined) return { goal: undefined, revision };
    try {
      return { goal: ApplicationGoal.decode(value), revision };
    } catch (error) {
      this.#stats.nonsense.add("goal");
      this.#log.error({ err: error, application }, "a goal that cannot be read is replaced");
      return { goal: undefined, revision };
    }
  }

  /**
   * Writes a key if it still has the revision that was read, 0 for none. Answers whether it did.
   * @throws NatsError if NATS is away.
   */
  async put(goal: ApplicationGoal, expectedRevision: number): Promise<boolean> {
    return this.putValue(goal.application, ApplicationGoal.encode(goal).finish(), expectedRevision);
  }

  /** Any key: its value is undefined if it was deleted. The same otherwise as get. */
  async getValue(
    key: string,
  ): Promise<{ value: Uint8Array | undefined; revision: number } | undefined> {
    const kv = await this.#open();
    const entry = await kv.get(key).catch((error: unknown) => this.#failed(error));
    if (entry === null) return undefined;
    const { operation, value, revision } = entry;
    return { value: operation === "PUT" ? value : undefined, revision };
  }

  /** Any key; the same otherwise as put. */
  async putValue(key: string, value: Uint8Array, expectedRevision: number): Promise<boolean> {
    const kv = await this.#open();
    try {
      await kv.put(key, value, { previousSeq: expectedRevision });
      this.#stats.goalWrites.add("written");
      return true;
    } catch (error) {
      if (!isWrongRevision(error)) return this.#failed(error);
      this.#stats.goalWrites.add("conflict");
      return false;
    }
  }

  /** Every key that was ever written, deleted ones too. @throws NatsError if NATS is away. */
  async keys(): Promise<string[]> {
    await this.#open();
    try {
      // Listing them by a consumer, as the client library does, has no time limit.
      const options = { checkAPI: false, timeout: REQUEST_TIMEOUT_MS };
      const { streams } = await this.#nats.jetstreamManager(options);
      const query = { subjects_filter: `${KEY_PREFIX}>` };
      const { state } = await streams.info(`KV_${GLOBAL_GOALS_BUCKET}`, query);
      return Object.keys(state.subjects ?? {}).map((subject) => subject.slice(KEY_PREFIX.length));
    } catch (error) {
      return this.#failed(error);
    }
  }

  /** Deletes a key if it still has the revision; answers whether it did. Else the same as put. */
  async removeValue(key: string, expectedRevision: number): Promise<boolean> {
    const kv = await this.#open();
    try {
      await kv.delete(key, { previousSeq: expectedRevision });
      return true;
    } catch (error) {
      if (!isWrongRevision(error)) return this.#failed(error);
      return false;
    }
  }

  /** The bucket itself may be gone: it is looked for again the next time, and made. */
  #failed(error: unknown): never {
    this.#kv = undefined;
    throw error;
  }

  async #open(): Promise<KV> {
    this.#kv ??= this.#nats
      .jetstream({ timeout: REQUEST_TIMEOUT_MS })
      .views.kv(GLOBAL_GOALS_BUCKET, {
        history: 1,
        storage: StorageType.File,
        timeout: REQUEST_TIMEOUT_MS,
      });
    const opening = this.#kv;
    try {
      return await opening;
    } catch (error) {
      if (this.#kv === opening) this.#kv = undefined;
      throw error;
    }
  }
}

function isWrongRevision(error: unknown): boolean {
  const { api_error: apiError } = error as { api_error?: { err_code?: number } };
  return apiError?.err_code === WRONG_LAST_SEQUENCE;
}
