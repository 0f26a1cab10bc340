import type { KeyObject } from "node:crypto";
import { KeySetRefusedError, type VerifiedKeySet, verifyKeySet } from "@slipway/proto";
import type { Logger } from "pino";
import type { Clock } from "../context.js";
import { readNamedBytes } from "../named-file.js";
import { daysUntil, firstEnd, heldKey, keyFault } from "./judge-key.js";
import type { KeyUse } from "./signer.js";

const DAY_MS = 24 * 3_600_000;
/** A key of ours that ends so soon is warned of. */
const WARN_DAYS = 7;

/** A time at which no key has ended. */
const ALWAYS = Number.NEGATIVE_INFINITY;

/** Ids of the keys that this coordinator signs with. */
type OwnKeys = Readonly<{ goal: string; membership: string | undefined }>;

interface FleetKeysOptions {
  /** Of the SignedKeySet. */
  file: string;
  /** That sign key sets; undefined: whoever writes the file is believed. */
  rootKeys: readonly KeyObject[] | undefined;
  own: OwnKeys;
  clock: Clock;
  log: Logger;
}

/** Which keys the fleet goes by: the newest key set that was in the file or in the bucket. */
export class FleetKeys {
  readonly #options: FleetKeysOptions;
  #held: VerifiedKeySet;
  /** The file as it was read last, whatever it was. */
  #seen: Buffer;
  /** By use: when an end that is near was told last. */
  readonly #warned = new Map<KeyUse, number>();

  private constructor(options: FleetKeysOptions, bytes: Buffer, held: VerifiedKeySet) {
    this.#options = options;
    this.#seen = bytes;
    this.#held = held;
  }

  /**
   * Reads the file.
   * @throws Error with a one-line reason if it can't be used, or this coordinator's own keys are not
   *   in it. Those that have ended sign nothing, and a set that is given later may have others.
   */
  static async open(options: FleetKeysOptions): Promise<FleetKeys> {
    const { file, rootKeys } = options;
    const bytes = await readNamedBytes("key set", file);
    let set: VerifiedKeySet;
    try {
      set = verifyKeySet(bytes, rootKeys);
    } catch (error) {
      if (!(error instanceof KeySetRefusedError)) throw error;
      throw new Error(`${file}: ${error.message}`, { cause: error });
    }
    const keys = new FleetKeys(options, bytes, set);
    // One whose time is over may be in use all over the fleet: whoever starts again must come up.
    const fault = keys.#faultAt(ALWAYS, "goal") ?? keys.#faultAt(ALWAYS, "membership");
    if (fault !== undefined) {
      throw new Error(
        `${file}: ${fault}: start with a key of the set, or sign a set that has this one`,
      );
    }
    keys.#tellFaults();
    return keys;
  }

  /** The newest one. */
  get set(): VerifiedKeySet {
    return this.#held;
  }

  /** Days until the first of its keys ends; undefined if none does. */
  get daysLeft(): number | undefined {
    const end = firstEnd(this.#held);
    return end && daysUntil(end, this.#options.clock.now());
  }

  /** Why nothing is to be signed with this coordinator's own key; undefined if nothing is wrong. */
  faultOf(use: KeyUse): string | undefined {
    return this.#faultAt(this.#options.clock.now(), use);
  }

  /** A goal key that holds. */
  goalKey(keyId: string): KeyObject | undefined {
    return heldKey(this.#held, "goal", keyId, this.#options.clock.now())?.publicKey;
  }

  isRevoked(keyId: string): boolean {
    return this.#held.revokedKeyIds.has(keyId);
  }

  /** Those that hold: one of them must have signed a member's certificate. */
  get membershipKeys(): readonly KeyObject[] {
    const now = this.#options.clock.now();
    return this.#held.membershipKeys.flatMap(({ keyId }) => {
      return heldKey(this.#held, "membership", keyId, now)?.publicKey ?? [];
    });
  }

  /** The key set in a value of the bucket; undefined if it is none, or the root key did not sign it. */
  read(value: Uint8Array): VerifiedKeySet | undefined {
    const { rootKeys } = this.#options;
    try {
      return verifyKeySet(value, rootKeys);
    } catch (error) {
      if (error instanceof KeySetRefusedError) return undefined;
      throw error;
    }
  }

  /** Takes a newer set that another coordinator has published. Nobody is believed without a root key. */
  adopt(set: VerifiedKeySet): void {
    if (this.#options.rootKeys === undefined || set.version <= this.#held.version) return;
    this.#take(set, "another coordinator");
  }

  /** Reads the file again. Answers how many sets it took: 1 or 0. @throws Error if it can't be read. */
  async reload(): Promise<number> {
    const { file, log } = this.#options;
    const bytes = await readNamedBytes("key set", file);
    this.#warnOfEnds();
    if (bytes.equals(this.#seen)) return 0;
    this.#seen = bytes;
    const set = this.read(bytes);
    const { version } = this.#held;
    if (set === undefined) {
      log.error(
        { file },
        "a key set that the root key has not signed, or that is none, is ignored",
      );
      return 0;
    }
    if (bytes.equals(this.#held.signed)) return 0;
    if (set.version <= version) {
      const both = { file, version: set.version, present: version };
      log.error(both, "a key set whose version is not above the present one's is ignored");
      return 0;
    }
    this.#take(set, file);
    return 1;
  }

  #take(set: VerifiedKeySet, from: string): void {
    const { log } = this.#options;
    this.#held = set;
    this.#warned.clear();
    log.info({ version: set.version, from }, "key set taken");
    this.#tellFaults();
    this.#warnOfEnds();
  }

  #faultAt(time: number, use: KeyUse): string | undefined {
    const keyId = this.#options.own[use];
    return keyId && keyFault(this.#held, use, keyId, time);
  }

  #tellFaults(): void {
    const { log } = this.#options;
    const { version } = this.#held;
    for (const use of ["goal", "membership"] as const) {
      const fault = this.faultOf(use);
      if (fault !== undefined) {
        log.error({ fault, version }, `nothing is signed with this ${use} key any more`);
      }
    }
  }

  /** Once a day, while an end of our own keys is near. */
  #warnOfEnds(): void {
    const { own, clock, log } = this.#options;
    const now = clock.now();
    for (const use of ["goal", "membership"] as const) {
      const key = heldKey(this.#held, use, own[use] ?? "", now);
      if (key?.notAfter === undefined || daysUntil(key.notAfter, now) > WARN_DAYS) continue;
      if (now - (this.#warned.get(use) ?? Number.NEGATIVE_INFINITY) < DAY_MS) continue;
      this.#warned.set(use, now);
      const { keyId, notAfter } = key;
      log.warn({ keyId, notAfter }, `this coordinator's ${use} key ends soon: give it another one`);
    }
  }
}
