import type { KeyObject } from "node:crypto";
import { type HeldKey, SignedKeySet, shortKeyId, type VerifiedKeySet } from "@slipway/proto";
import { type MembershipKeys, verifySignature } from "../swarm/membership.js";

/**
 * Why nothing holds that a key signed: the agent was never told of it; the key set has it no more, or
 * never had it; its time is over; or the key set names it as revoked.
 */
export interface KeyFault {
  readonly reason: "unknown" | "unlisted" | "ended" | "revoked";
  readonly message: string;
}

/** Keys that may sign goals and lists of revoked members. */
export interface GoalKeys {
  /** The key of this id (8 bytes in hexadecimal), if what it signed holds now. */
  find(keyId: string): KeyObject | KeyFault;
  /** Changes whenever `find` may answer otherwise than before. */
  readonly epoch: string;
}

/** What an agent was told by its command line. */
export interface FirstTrust {
  readonly goalKeys: readonly KeyObject[];
  readonly membershipKeys: readonly KeyObject[];
}

/**
 * What came of a key set. "conflicting": another set has this version, which the root key must never
 * have signed.
 */
export type Taken = "taken" | "known" | "older" | "conflicting";

export interface TrustedKeysOptions {
  /** Holds until there is a key set. */
  first: FirstTrust;
  /** Empty: there never is one. */
  rootKeys: readonly KeyObject[];
  /** Milliseconds since 1970. Default: the machine's clock. */
  now?: (() => number) | undefined;
}

type Keys = ReadonlyMap<string, HeldKey>;

/**
 * The keys that an agent goes by at this moment, for goals and for memberships apart: those of its
 * command line until a key set takes their place, whole; and of a key set, those that have not ended.
 */
export class TrustedKeys {
  readonly goals: GoalKeys;
  readonly memberships: MembershipKeys;
  readonly #now: () => number;
  readonly #listeners: (() => void)[] = [];
  #goals: Keys;
  #memberships: Keys;
  #set: VerifiedKeySet | undefined;

  constructor({ first, rootKeys, now = Date.now }: TrustedKeysOptions) {
    this.#now = now;
    this.#goals = byId(first.goalKeys.map(lasting));
    this.#memberships = byId(first.membershipKeys.map(lasting));
    const epoch = (): string => this.#epoch();
    this.goals = {
      find: (keyId) => this.#find(keyId),
      get epoch() {
        return epoch();
      },
    };
    this.memberships = {
      signer: (certificate) =>
        this.#holding(this.#memberships).find(({ publicKey }) =>
          verifySignature(certificate, publicKey),
        )?.keyId,
      endTime: (keyId) => this.#memberships.get(keyId)?.notAfter?.getTime() ?? Infinity,
      holds: (keyId) => this.#holding(this.#memberships).some((key) => key.keyId === keyId),
      // Membership keys come and go, the root key stays; those who don't know it yet are met as before.
      topicKeys: [...rootKeys, ...first.membershipKeys.slice(0, 1)],
    };
  }

  /** Those of a command line, for good. */
  static fixed(first: Partial<FirstTrust>): TrustedKeys {
    return new TrustedKeys({
      first: { goalKeys: [], membershipKeys: [], ...first },
      rootKeys: [],
    });
  }

  /** The key set that holds, if there is one. */
  get set(): VerifiedKeySet | undefined {
    return this.#set;
  }

  /** Of the key set; 0 while there is none. */
  get version(): number {
    return this.#set?.version ?? 0;
  }

  /** Calls back after each key set that was taken. */
  onChange(listener: () => void): void {
    this.#listeners.push(listener);
  }

  /** Takes a key set if it is newer: its signature is the caller's to have checked. */
  take(set: VerifiedKeySet): Taken {
    const held = this.#set;
    if (held !== undefined && set.version < held.version) return "older";
    if (held?.version === set.version) return isSame(held, set) ? "known" : "conflicting";
    this.#set = set;
    this.#goals = byId(set.goalKeys);
    this.#memberships = byId(set.membershipKeys);
    for (const listener of this.#listeners) listener();
    return "taken";
  }

  /** Goes by no key at all until there is a key set. */
  distrust(): void {
    this.#goals = new Map();
    this.#memberships = new Map();
  }

  #find(keyId: string): KeyObject | KeyFault {
    const key = this.#goals.get(keyId);
    if (key !== undefined && holds(key, this.#now())) return key.publicKey;
    const name = `goal key ${JSON.stringify(keyId.slice(0, 80))}`;
    if (key !== undefined) {
      const ended = key.notAfter?.toISOString() ?? "";
      return { reason: "ended", message: `${name} holds no more since ${ended}` };
    }
    if (this.#set === undefined) {
      return { reason: "unknown", message: `${name} is none that this agent was given` };
    }
    const { version, revokedKeyIds } = this.#set;
    return revokedKeyIds.has(keyId)
      ? { reason: "revoked", message: `${name} was revoked by key set ${version}` }
      : { reason: "unlisted", message: `${name} is none of key set ${version}` };
  }

  #holding(keys: Keys): HeldKey[] {
    const now = this.#now();
    return [...keys.values()].filter((key) => holds(key, now));
  }

  #epoch(): string {
    return `${this.version}/${this.#holding(this.#goals).length}/${this.#goals.size}`;
  }
}

/**
 * Whether what an agent has obeyed, and kept, stays in force though its key has this fault: the key
 * held at the time.
 */
export function outlives({ reason }: KeyFault): boolean {
  return reason === "unlisted" || reason === "ended";
}

/** Whether two key sets are one, perhaps signed by other root keys as well. */
function isSame(a: VerifiedKeySet, b: VerifiedKeySet): boolean {
  if (a.signed.equals(b.signed)) return true;
  return SignedKeySet.decode(a.signed).payload.equals(SignedKeySet.decode(b.signed).payload);
}

function holds({ notAfter }: HeldKey, now: number): boolean {
  return now < (notAfter?.getTime() ?? Infinity);
}

function lasting(publicKey: KeyObject): HeldKey {
  return { keyId: shortKeyId(publicKey), publicKey, notAfter: undefined };
}

function byId(keys: readonly HeldKey[]): Keys {
  return new Map(keys.map((key) => [key.keyId, key]));
}
