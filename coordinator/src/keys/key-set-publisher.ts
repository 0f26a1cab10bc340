import { KEY_SET_KEY } from "@slipway/proto";
import type { Logger } from "pino";
import type { GoalBucket } from "../goal/goal-bucket.js";
import type { Stats } from "../stats.js";
import type { FleetKeys } from "./fleet-keys.js";

const MAX_ATTEMPTS = 4;

interface Options {
  keys: FleetKeys;
  bucket: GoalBucket;
  log: Logger;
  stats: Pick<Stats, "nonsense">;
}

/** Keeps the fleet's key set in the global bucket. The bucket can be lost and is rebuilt. */
export class KeySetPublisher {
  readonly #options: Options;
  /** The version in the bucket that was last complained of. */
  #complained: number | undefined;

  constructor(options: Options) {
    this.#options = options;
  }

  /**
   * Puts the newest key set into the bucket unless it is there, or takes a newer one from there. Safe
   * to call at any time by any coordinator. Answers how many were written.
   * @throws NatsError if NATS is away.
   */
  async publish(): Promise<number> {
    const { keys, bucket, log } = this.#options;
    // It may have been lost since we saw it.
    await bucket.prepare();
    for (let attempt = 1; attempt <= MAX_ATTEMPTS; attempt += 1) {
      const entry = await bucket.getValue(KEY_SET_KEY);
      if (entry?.value !== undefined && this.#stays(entry.value)) return 0;
      const { signed, version } = keys.set;
      if (await bucket.putValue(KEY_SET_KEY, signed, entry?.revision ?? 0)) {
        log.info({ version }, "key set published");
        return 1;
      }
    }
    throw new Error("the key set was changed by others at every attempt");
  }

  /** Whether what is in the bucket is to stay there. */
  #stays(value: Uint8Array): boolean {
    const { keys, log, stats } = this.#options;
    const present = keys.read(value);
    if (present === undefined) {
      stats.nonsense.add("key_set");
      log.error("a key set that the root key has not signed, or that is none, is replaced");
      return false;
    }
    keys.adopt(present);
    const { version, signed } = keys.set;
    if (present.version < version) return false;
    if (!present.signed.equals(signed) && this.#complained !== present.version) {
      this.#complained = present.version;
      const both = { version, published: present.version };
      if (present.version > version) {
        log.error(both, "a newer key set is published: give this coordinator the same one");
      } else {
        log.error(both, "another key set of the same version is published: sign a higher one");
      }
    }
    return true;
  }
}
