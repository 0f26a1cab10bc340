import { KEY_SET_KEY, KeySetRefusedError, verifyKeySet } from "@slipway/proto";
import type { Logger } from "../log.js";
import type { Trust } from "../trust/open-trust.js";
import type { MirrorEntry } from "./kv-mirror.js";

/** Of two, the one with the higher version holds. */
export interface Versioned {
  readonly version: number;
  /** As it is passed on. */
  readonly signed: Buffer;
}

/** Reads the key sets of the goal buckets, and has the agent go by the newest one. */
export class KeySetReader {
  readonly #trust: Trust | undefined;
  readonly #log: Logger;
  /** By the value as it came; the order of sets is looked at each time. */
  readonly #read = new WeakMap<Uint8Array, Versioned | undefined>();

  /** @param trust - Undefined: key sets are checked for their form alone, and left to the hosts. */
  constructor(trust: Trust | undefined, log: Logger) {
    this.#trust = trust;
    this.#log = log;
  }

  /** What the agent goes by itself: a bucket that has lost it is given it back. */
  get held(): Versioned | undefined {
    return this.#trust?.keys.set;
  }

  /** A bucket's key set, if the root key has signed it; without a root key that is left to the hosts. */
  read(
    entries: ReadonlyMap<string, MirrorEntry> | undefined,
    bucket: string,
  ): Versioned | undefined {
    const value = entries?.get(KEY_SET_KEY)?.value;
    if (value === undefined) return undefined;
    if (!this.#read.has(value)) this.#read.set(value, this.#check(value, bucket));
    return this.#read.get(value);
  }

  #check(value: Uint8Array, bucket: string): Versioned | undefined {
    const keySet = this.#trust?.keySet;
    if (keySet !== undefined) return keySet.offer(value, `${bucket}/${KEY_SET_KEY}`);
    try {
      return verifyKeySet(value, undefined);
    } catch (error) {
      if (!(error instanceof KeySetRefusedError)) throw error;
      this.#log.error({ err: error, bucket }, "malformed key set ignored");
      return undefined;
    }
  }
}

/** The one with the higher version. */
export function newest(a: Versioned | undefined, b: Versioned | undefined): Versioned | undefined {
  return (b?.version ?? 0) > (a?.version ?? 0) ? b : a;
}
