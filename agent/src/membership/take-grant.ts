import type { KeyObject } from "node:crypto";
import { type MemberGrant, Membership, MembershipCertificate } from "@slipway/proto";
import type { Identity, MemberRole } from "../swarm/identity.js";
import { roleOf } from "../swarm/identity.js";
import { verifySignature } from "../swarm/membership.js";

/** A coordinator has answered with something that is no good. */
export class GrantError extends Error {
  override readonly name = "GrantError";
}

/**
 * The identity with what a coordinator has granted it. Pure.
 * @param membershipPublicKey - Of the fleet; undefined if this agent does not know it.
 * @throws GrantError unless it is for this agent and its key, signed by the fleet, and not over.
 */
export function takeGrant<R extends MemberRole>(
  identity: Omit<Identity<R>, "certificate">,
  grant: MemberGrant | undefined,
  membershipPublicKey: KeyObject | undefined,
): Identity<R> {
  const { certificate, issueTime, expireTime, natsJwt = "", globalNatsJwt = "" } = grant ?? {};
  if (certificate === undefined || issueTime === undefined || expireTime === undefined) {
    throw new GrantError("the coordinator granted no certificate");
  }
  if (membershipPublicKey !== undefined && !verifySignature(certificate, membershipPublicKey)) {
    throw new GrantError(
      "the coordinator's certificate is not signed by the membership key that this agent was given",
    );
  }
  const said = decode(certificate);
  const isOurs =
    said.id === identity.id &&
    said.region === identity.region &&
    said.role === roleOf(identity.role) &&
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
