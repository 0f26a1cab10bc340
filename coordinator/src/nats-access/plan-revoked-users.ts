import type { IssuerKeys } from "./keys.js";

/** A member that was revoked. */
export interface RevokedMember {
  role: "HOST" | "REGION" | "BUILDER";
  region: string;
  natsPublicKey: string;
  /** Of the last JWT that it was given. */
  expireTime: Date;
}

/** More would make an account's JWT too large for a message. */
export const MAX_REVOCATIONS = 6_000;

/** Whose JWTs each account must refuse, and of whom it need not any more, by public keys. */
export interface AccountRevocations {
  account: string;
  /** The region whose servers have the account; undefined for the global one. */
  region: string | undefined;
  /** In seconds: what was signed until then. */
  revoked: Map<string, number>;
  expired: Set<string>;
}

/** Sorts members by the accounts that they have users of. */
export function planRevokedUsers(
  keys: IssuerKeys,
  members: readonly RevokedMember[],
  now: Date,
): AccountRevocations[] {
  const accounts = new Map<string, AccountRevocations>();
  const add = (account: string, region: string | undefined, member: RevokedMember): void => {
    const entry = accounts.get(account) ?? {
      account,
      region,
      revoked: new Map<string, number>(),
      expired: new Set<string>(),
    };
    accounts.set(account, entry);
    const { natsPublicKey, expireTime } = member;
    // Nothing is signed for it any more, so the last thing's end stands for all of them.
    if (expireTime > now) entry.revoked.set(natsPublicKey, Math.ceil(expireTime.getTime() / 1_000));
    else entry.expired.add(natsPublicKey);
  };
  for (const member of members) {
    const scopes = keys.regions[member.region];
    if (scopes === undefined) continue;
    if (member.role === "HOST") add(scopes.hosts.account, member.region, member);
    if (member.role === "REGION") {
      add(scopes.agents.account, member.region, member);
      add(keys.global.account, undefined, member);
    }
  }
  return [...accounts.values()];
}

/**
 * What an account's revocations should be; undefined if they are. Others' stay; of too many the
 * soonest to expire are left out.
 */
export function mergeRevocations(
  present: Readonly<Record<string, number>>,
  { revoked, expired }: Pick<AccountRevocations, "revoked" | "expired">,
): Record<string, number> | undefined {
  const kept = Object.entries(present).filter(([key]) => !expired.has(key));
  const merged = new Map(kept);
  for (const [key, until] of revoked) merged.set(key, Math.max(until, merged.get(key) ?? 0));
  const last = [...merged].sort(([, a], [, b]) => b - a).slice(0, MAX_REVOCATIONS);
  const same =
    last.length === Object.keys(present).length &&
    last.every(([key, until]) => present[key] === until);
  return same ? undefined : Object.fromEntries(last);
}
