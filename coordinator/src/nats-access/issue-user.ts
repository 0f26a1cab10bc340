import { encodeUser, fromPublic, type KeyPair } from "@nats-io/jwt";
import { NAME_PATTERN } from "@slipway/proto";
import { fastPair } from "./fast-keys.js";
import type { IssuerKeys, RegionScopes, Scope } from "./keys.js";

/** To derive a public key takes longer than to sign. */
const pairs = new WeakMap<Scope, KeyPair>();

/** Who is to get in. */
export interface NatsMember {
  role: "host" | "region";
  id: string;
  region: string;
  /** Of its NATS key: U and 55 more characters. */
  natsPublicKey: string;
  /** When the JWTs end: as the membership certificate does. */
  expireTime: Date;
}

/** What a member connects with, beside its NATS key. */
export interface NatsUserJwts {
  /** For its region's NATS. */
  regional: string;
  /** For the global NATS; undefined for hosts, who are not let in there. */
  global: string | undefined;
}

/** A NATS user cannot be made: its name or key is none, or the region has no account. */
export class NatsUserError extends Error {
  override readonly name = "NatsUserError";
}

/**
 * Signs what a member shows to nats-server. What it may do there is in the account's scope of the
 * signing key: nobody can make a user that may do more.
 * @throws NatsUserError
 */
export async function issueNatsUser(keys: IssuerKeys, member: NatsMember): Promise<NatsUserJwts> {
  const { role, region } = member;
  check(member);
  const { agents, hosts } = scopesOf(keys, region);
  if (role === "host") return { regional: await signUser(hosts, member), global: undefined };
  const tags = [`region:${region}`];
  return {
    regional: await signUser(agents, member),
    global: await signUser(keys.global, member, tags),
  };
}

/** @throws NatsUserError if the region has no accounts */
export function scopesOf({ regions }: IssuerKeys, region: string): RegionScopes {
  const scopes = Object.hasOwn(regions, region) ? regions[region] : undefined;
  if (scopes !== undefined) return scopes;
  throw new NatsUserError(
    `region ${region} has no NATS accounts: add it with nats-config --regions, and give ` +
      "coordinators the new issuer.json",
  );
}

/** Signs a user of a scope, whatever its name. */
export function signUser(
  scope: Scope,
  { id, natsPublicKey, expireTime }: Pick<NatsMember, "id" | "natsPublicKey" | "expireTime">,
  tags: string[] = [],
): Promise<string> {
  const signer = pairs.get(scope) ?? fastPair(scope.signingKey);
  pairs.set(scope, signer);
  return encodeUser(id, natsPublicKey, scope.account, tags.length > 0 ? { tags } : {}, {
    signer,
    scopedUser: true,
    exp: Math.floor(expireTime.getTime() / 1_000),
  });
}

function check({ id, region, natsPublicKey }: NatsMember): void {
  // A name becomes a part of the subjects that the user may use: it must be no wildcard.
  for (const [what, name] of Object.entries({ id, region })) {
    if (!NAME_PATTERN.test(name))
      throw new NatsUserError(`not a valid ${what}: ${JSON.stringify(name)}`);
  }
  if (!isNatsUserKey(natsPublicKey)) {
    throw new NatsUserError(`not the public key of a NATS user: ${JSON.stringify(natsPublicKey)}`);
  }
}

/** Whether it is the public part of a NATS user's key, with a checksum that fits. */
function isNatsUserKey(text: string): boolean {
  try {
    return /^U[A-Z2-7]{55}$/.test(text) && fromPublic(text).getPublicKey() === text;
  } catch {
    return false;
  }
}
