import { createHash, KeyObject } from "node:crypto";
import type { Logger } from "../log.js";
import type { GoalKeys } from "../trust/trusted-keys.js";
import {
  RevocationsRefusedError,
  type Revocations,
  verifyRevocations,
} from "./verify-revocations.js";

/** Values that are remembered as refused, for the log's sake. */
const REFUSED_MAX = 64;

/** Reads lists of revoked hosts; one that is not to be used is logged, once, and changes nothing. */
export class RevocationReader {
  readonly #keys: GoalKeys | undefined;
  readonly #log: Logger;
  /** By the value as it came. */
  #read = new WeakMap<Uint8Array, Revocations | undefined>();
  /** Of the keys, when `#read` was filled. */
  #epoch = "";
  readonly #refused = new Set<string>();

  /** @param keys - Of those who may sign. Undefined: nothing is checked but the form. */
  constructor(keys: GoalKeys | undefined, log: Logger) {
    this.#keys = keys;
    this.#log = log;
  }

  /** @param from - Where it was found, for the log. */
  read(value: Uint8Array, from: string): Revocations | undefined {
    const epoch = this.#keys?.epoch ?? "";
    if (epoch !== this.#epoch) this.#read = new WeakMap();
    this.#epoch = epoch;
    if (!this.#read.has(value)) this.#read.set(value, this.#verify(Buffer.from(value), from));
    return this.#read.get(value);
  }

  /** The same of a list that held before this agent started. */
  readKept(value: Buffer, from: string): Revocations | undefined {
    return this.#verify(value, from, { kept: true });
  }

  /** Whether the key that signed it was revoked: what it says, its version too, may be anybody's. */
  disowns({ keyId }: Revocations): boolean {
    const key = this.#keys?.find(keyId);
    return key !== undefined && !(key instanceof KeyObject) && key.reason === "revoked";
  }

  #verify(signed: Buffer, from: string, how: { kept?: boolean } = {}): Revocations | undefined {
    try {
      return verifyRevocations(signed, this.#keys, how);
    } catch (error) {
      if (!(error instanceof RevocationsRefusedError)) throw error;
      const hash = createHash("sha256").update(signed).digest("hex");
      if (this.#refused.has(hash)) return undefined;
      if (this.#refused.size >= REFUSED_MAX) this.#refused.clear();
      this.#refused.add(hash);
      this.#log.error({ err: error, from, hash }, "list of revoked hosts ignored");
      return undefined;
    }
  }
}
