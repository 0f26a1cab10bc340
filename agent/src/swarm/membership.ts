import { KeyObject } from "node:crypto";
import {
  isSignatureOf,
  MEMBERSHIP_SIGNATURE_CONTEXT,
  Membership,
  type MembershipCertificate,
  Role,
  shortKeyId,
  signedMessage,
} from "@slipway/proto";
import type { CertificateFault } from "./refusals.js";

/** Why a peer is not let in. */
export class MembershipError extends Error {
  override readonly name = "MembershipError";
  readonly fault: CertificateFault;

  constructor(message: string, fault: CertificateFault, options?: ErrorOptions) {
    super(message, options);
    this.fault = fault;
  }
}

/** Which keys sign certificates; they may change at any time. */
export interface MembershipKeys {
  /** Id of the key that signed it, if what that key signed holds now. */
  signer(certificate: MembershipCertificate): string | undefined;
  /** Whether what the key signed holds now. */
  holds(keyId: string): boolean;
  /** When that ends by itself, in milliseconds since 1970; Infinity if it does not. */
  endTime(keyId: string): number;
  /** The fleet's members find each other by these: never the same as another fleet's. */
  readonly topicKeys: readonly KeyObject[];
}

/** A membership with the key that signed it. */
export interface SignedMembership extends Membership {
  /** As MembershipKeys name it. */
  signer: string;
}

export interface VerifyMembershipOptions {
  keys: MembershipKeys;
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
): SignedMembership {
  if (certificate === undefined) throw new MembershipError("no certificate", "no_certificate");
  const signer = options.keys.signer(certificate);
  if (signer === undefined) {
    throw new MembershipError("not signed by a membership key of the fleet's", "not_signed");
  }
  const membership = decode(certificate.payload);
  if (!Buffer.from(options.remotePublicKey).equals(membership.publicKey)) {
    throw new MembershipError("certificate of another key", "other_key");
  }
  if (membership.region !== options.region) {
    throw new MembershipError(`member of region ${membership.region}`, "other_region");
  }
  if (membership.role !== Role.HOST && membership.role !== Role.REGION) {
    throw new MembershipError("unknown role", "wrong_role");
  }
  if (membership.expireTime === undefined || membership.expireTime.getTime() <= options.now) {
    throw new MembershipError("certificate expired", "expired");
  }
  return { ...membership, signer };
}

/** Of one key that holds for good, or as they are. */
export function membershipKeysOf(keys: KeyObject | MembershipKeys): MembershipKeys {
  if (!(keys instanceof KeyObject)) return keys;
  const keyId = shortKeyId(keys);
  return {
    signer: (certificate) => (verifySignature(certificate, keys) ? keyId : undefined),
    holds: (id) => id === keyId,
    endTime: () => Infinity,
    topicKeys: [keys],
  };
}

/** Whether the fleet signed it; what it says is another question. */
export function verifySignature(
  { payload, signature }: MembershipCertificate,
  membershipPublicKey: KeyObject,
): boolean {
  const message = signedMessage(MEMBERSHIP_SIGNATURE_CONTEXT, payload);
  return isSignatureOf(membershipPublicKey, message, signature);
}

function decode(payload: Uint8Array): Membership {
  try {
    return Membership.decode(payload);
  } catch (error) {
    throw new MembershipError("no membership in the certificate", "malformed", { cause: error });
  }
}
