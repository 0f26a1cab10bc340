import type { RevocationList } from "@slipway/proto";

/** NATS takes 1 MiB a message by default; the rest is for what frames the list. */
const MAX_BYTES = 1_000_000;

/** What to do about the list in the bucket. */
export interface RevocationPlan {
  /** To be written; undefined if what is there will do. */
  write: RevocationList | undefined;
  /** Ids that the bucket's list revokes and the database does not know of; they stay revoked. */
  unknown: string[];
  /** How many, of those revoked first, have no room. */
  leftOut: number;
}

/**
 * Compares the ids that the database says are revoked, the last one in front, with the list that the
 * bucket has, if it is ours. Nothing that was revoked is ever taken back: the database may
 * be a restored backup. Pure.
 * @param signAgain - Also what is there is to be written.
 */
export function planRevocations(
  revoked: readonly string[],
  present: RevocationList | undefined,
  now: Date,
  signAgain = false,
): RevocationPlan {
  const known = new Set(revoked);
  const unknown = (present?.hostIds ?? []).filter((hostId) => !known.has(hostId));
  const hostIds: string[] = [];
  let bytes = 0;
  for (const hostId of [...revoked, ...unknown]) {
    // A tag and a length each.
    bytes += hostId.length + 2;
    if (bytes > MAX_BYTES) break;
    hostIds.push(hostId);
  }
  const leftOut = revoked.length + unknown.length - hostIds.length;
  const there = new Set(present?.hostIds);
  const isThere = hostIds.length === there.size && hostIds.every((hostId) => there.has(hostId));
  if (isThere && !signAgain) return { write: undefined, unknown, leftOut };
  // By the clock, so that it rises also after the bucket was lost; by one if the clock stood still.
  const version = Math.max((present?.version ?? 0) + 1, now.getTime());
  return { write: { version, issueTime: now, hostIds }, unknown, leftOut };
}
