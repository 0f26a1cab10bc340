import { type KeyObject, verify } from "node:crypto";
import {
  MEMBERSHIP_SIGNATURE_CONTEXT,
  Membership,
  type MembershipCertificate,
  Role,
} from "@slipway/proto";

/** Why a peer is not let in. */
export class MembershipError extends Error {
  override readonly name = "MembershipError";
}

export interface VerifyMembershipOptions {
  membershipPublicKey: KeyObject;
  /** The key that the Noise handshake proved. */
  remotePublicKey: Uint8Array;
  region: string;
  /** Milliseconds since the epoch. */
  now: number;
}

/** What the certificate says, once everything about it is checked. Throws MembershipError. */
export function verifyMembership(
  certificate: MembershipCertificate | undefined,
  options: VerifyMembershipOptions,
): Membership {
  if (certificate === undefined) throw new MembershipError("no certificate");
  if (!verifySignature(certificate, options.membershipPublicKey)) {
    throw new MembershipError("not signed by the fleet's membership key");
  }
  const membership = decode(certificate.payload);
  if (!Buffer.from(options.remotePublicKey).equals(membership.publicKey)) {
    throw new MembershipError("certificate of another key");
  }
  if (membership.region !== options.region) {
    throw new MembershipError(`member of region ${membership.region}`);
  }
  if (membership.role !== Role.HOST && membership.role !== Role.REGION) {
    throw new MembershipError("unknown role");
  }
  if (membership.expireTime === undefined || membership.expireTime.getTime() <= options.now) {
    throw new MembershipError("certificate expired");
  }
  return membership;
}

/** Whether the fleet signed it; what it says is another question. */
export function verifySignature(
  { payload, signature }: MembershipCertificate,
  membershipPublicKey: KeyObject,
): boolean {
  const signed = Buffer.concat([Buffer.from(MEMBERSHIP_SIGNATURE_CONTEXT), payload]);
  return signature.byteLength === 64 && verify(null, signed, membershipPublicKey, signature);
}

function decode(payload: Uint8Array): Membership {
  try {
    return Membership.decode(payload);
  } catch (error) {
    throw new MembershipError("no membership in the certificate", { cause: error });
  }
}
