import { MEMBER_ROLES, type MemberGrant, Membership, MembershipCertificate } from "@slipway/proto";
import type { Identity, MemberRole } from "../swarm/identity.js";
import type { MembershipKeys } from "../swarm/membership.js";
import type { Trust } from "../trust/open-trust.js";

/** A coordinator has answered with something that is no good. */
export class GrantError extends Error {
  override readonly name = "GrantError";
}

/** The key set that came with a grant may be what the grant is to be checked by. */
export function offerKeySet(trust: Trust | undefined, grant: MemberGrant | undefined): void {
  const { keySet } = grant ?? {};
  if (keySet !== undefined && keySet.length > 0) trust?.keySet?.offer(keySet, "coordinator");
}

/**
 * The identity with what a coordinator has granted it. Pure.
 * @param keys - Of the fleet; undefined if this agent does not know them.
 * @throws GrantError unless it is for this agent and its key, signed by the fleet, and not over.
 */
export function takeGrant<R extends MemberRole>(
  identity: Omit<Identity<R>, "certificate">,
  grant: MemberGrant | undefined,
  keys: MembershipKeys | undefined,
): Identity<R> {
  const { certificate, issueTime, expireTime, natsJwt = "", globalNatsJwt = "" } = grant ?? {};
  if (certificate === undefined || issueTime === undefined || expireTime === undefined) {
    throw new GrantError("the coordinator granted no certificate");
  }
  if (keys !== undefined && keys.signer(certificate) === undefined) {
    throw new GrantError(
      "the coordinator's certificate is not signed by a membership key that this agent goes by",
    );
  }
  const said = decode(certificate);
  const isOurs =
    said.id === identity.id &&
    said.region === identity.region &&
    said.role === MEMBER_ROLES[identity.role] &&
    said.publicKey.equals(identity.publicKey);
  if (!isOurs) throw new GrantError("the coordinator's certificate is for another member");
  if (said.expireTime?.getTime() !== expireTime.getTime() || expireTime <= issueTime) {
    throw new GrantError("the coordinator's certificate does not end when it says");
  }
  return {
    ...identity,
    certificate: Buffer.from(MembershipCertificate.encode(certificate).finish()),
    issueTime,
    ...(natsJwt === "" ? {} : { natsJwt }),
    ...(globalNatsJwt === "" ? {} : { globalNatsJwt }),
  };
}

function decode({ payload }: MembershipCertificate): Membership {
  try {
    return Membership.decode(payload);
  } catch (error) {
    throw new GrantError("the coordinator's certificate cannot be read", { cause: error });
  }
}
