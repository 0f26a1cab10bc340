import {
  JOIN_SIGNATURE_CONTEXT,
  JoinClaim,
  type JoinRequest,
  MEMBER_ROLES,
  RENEW_SIGNATURE_CONTEXT,
  RenewClaim,
  type RenewRequest,
  signedMessage,
} from "@slipway/proto";
import { signAsUser, userPublicKey } from "../nats/user-key.js";
import { type Identity, type MemberRole, signWith } from "../swarm/identity.js";

/** What an agent is before the fleet has heard of it. */
export type Candidate = Pick<
  Identity<MemberRole>,
  "id" | "region" | "role" | "publicKey" | "secretKey"
> & { natsSeed: string };

/** Says who it is, and proves that it holds both of its keys. Pure. */
export function joinRequest(candidate: Candidate): JoinRequest {
  const { id, region, role, publicKey, secretKey, natsSeed } = candidate;
  const natsPublicKey = userPublicKey(natsSeed);
  const claim = Buffer.from(
    JoinClaim.encode({ id, region, role: MEMBER_ROLES[role], publicKey, natsPublicKey }).finish(),
  );
  const message = signedMessage(JOIN_SIGNATURE_CONTEXT, claim);
  return {
    claim,
    signature: signWith(secretKey, message),
    natsSignature: signAsUser(natsSeed, message),
  };
}

/** Proves that a member holds its key, at a time that is the coordinator's. Pure. */
export function renewRequest(
  { id, secretKey }: Pick<Identity, "id" | "secretKey">,
  time: Date,
): RenewRequest {
  const claim = Buffer.from(RenewClaim.encode({ id, time }).finish());
  const message = signedMessage(RENEW_SIGNATURE_CONTEXT, claim);
  return { claim, signature: signWith(secretKey, message) };
}
