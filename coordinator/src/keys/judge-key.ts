import type { HeldKey, VerifiedKeySet } from "@slipway/proto";
import type { KeyUse } from "./signer.js";

const DAY_MS = 24 * 3_600_000;

/** Why a key does not hold, by this set and at this time; undefined if it does. */
export function keyFault(
  set: VerifiedKeySet,
  use: KeyUse,
  keyId: string,
  now: number,
): string | undefined {
  const key = keysFor(set, use).find((one) => one.keyId === keyId);
  if (set.revokedKeyIds.has(keyId)) {
    return `key set version ${set.version} revokes ${use} key ${keyId}`;
  }
  if (key === undefined) return `key set version ${set.version} has no ${use} key ${keyId}`;
  if (hasEnded(key, now)) {
    return `${use} key ${keyId} ended ${key.notAfter?.toISOString()}, says key set version ${set.version}`;
  }
  return undefined;
}

/** The key itself, if it holds. */
export function heldKey(
  set: VerifiedKeySet,
  use: KeyUse,
  keyId: string,
  now: number,
): HeldKey | undefined {
  return keysFor(set, use).find((key) => key.keyId === keyId && !hasEnded(key, now));
}

/** When the first of a set's keys ends, of those that have an end. */
export function firstEnd({ goalKeys, membershipKeys }: VerifiedKeySet): Date | undefined {
  const ends = [...goalKeys, ...membershipKeys].flatMap(({ notAfter }) => notAfter ?? []);
  return ends.toSorted((a, b) => a.getTime() - b.getTime())[0];
}

/** Days from now until then, negative ones once it has passed. */
export function daysUntil(end: Date, now: number): number {
  return (end.getTime() - now) / DAY_MS;
}

function keysFor(set: VerifiedKeySet, use: KeyUse): readonly HeldKey[] {
  return use === "goal" ? set.goalKeys : set.membershipKeys;
}

function hasEnded({ notAfter }: HeldKey, now: number): boolean {
  return notAfter !== undefined && now >= notAfter.getTime();
}
