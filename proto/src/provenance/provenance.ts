import type { KeyObject } from "node:crypto";
import { SignedProvenance } from "../../gen/slipway/v1/provenance.js";
import { Membership, type MembershipCertificate, Role } from "../../gen/slipway/v1/swarm.js";
import {
  isSignatureOf,
  publicKeyOf,
  RAW_KEY_BYTES,
  shortKeyId,
  signedMessage,
} from "../ed25519.js";
import {
  MEMBERSHIP_SIGNATURE_CONTEXT,
  PROVENANCE_MAX_BYTES,
  PROVENANCE_PAYLOAD_TYPE,
} from "../names.js";
import { decodeEnvelope, type Envelope, encodeEnvelope, preAuthEncoding } from "./envelope.js";
import { printable, ProvenanceRefusedError } from "./refused.js";
import {
  type BuildFacts,
  type BuildTimes,
  checkStatement,
  provenanceStatement,
} from "./statement.js";

/** Who signs what a builder has built. */
export interface ProvenanceSigner {
  /** Of a builder, for the key that signs. */
  certificate: MembershipCertificate;
  /** 32 bytes. */
  publicKey: Uint8Array;
  /** 64 bytes of Ed25519. */
  sign(bytes: Buffer): Buffer;
}

/** A SignedProvenance of a build, as bytes. @throws ProvenanceRefusedError "oversized" */
export function signProvenance(
  facts: BuildFacts,
  times: BuildTimes,
  signer: ProvenanceSigner,
): Buffer {
  const payload = Buffer.from(JSON.stringify(provenanceStatement(facts, times)));
  const payloadType = PROVENANCE_PAYLOAD_TYPE;
  const signature = signer.sign(preAuthEncoding(payloadType, payload));
  const keyId = shortKeyId(publicKeyOf(signer.publicKey));
  const { certificate } = signer;
  const envelope = encodeEnvelope({ payloadType, payload, signatures: [{ keyId, signature }] });
  const signed = Buffer.from(SignedProvenance.encode({ envelope, certificate }).finish());
  checkSize(signed.length);
  return signed;
}

/** By what a provenance is judged. */
export interface ProvenanceCheck {
  /** What it must say. */
  facts: BuildFacts;
  /**
   * The fleet's, of which one must have signed the certificate. Undefined: whoever has a certificate is
   * believed, and the answer has no `membershipKeyId`.
   */
  membershipKeys: readonly KeyObject[] | undefined;
  /** When the build ended, by a clock that is not the builder's: the certificate must still hold. */
  time: Date;
}

/** A provenance that fits. */
export interface VerifiedProvenance extends BuildTimes {
  builderId: string;
  /** First 8 bytes of SHA-256 of the builder's raw public key, in hexadecimal. */
  keyId: string;
  publicKey: KeyObject;
  /** Of the membership key that signed the certificate; undefined if none was asked for. */
  membershipKeyId: string | undefined;
  /** When the builder's certificate ends. */
  expireTime: Date;
}

/** Reads a SignedProvenance. @throws ProvenanceRefusedError "oversized", "malformed" */
export function decodeProvenance(signed: Uint8Array): SignedProvenance {
  checkSize(signed.length);
  return decode(SignedProvenance, signed, "provenance");
}

/** Checks everything about a provenance. Pure. @throws ProvenanceRefusedError saying what does not fit. */
export function verifyProvenance(
  { envelope: bytes, certificate }: SignedProvenance,
  { facts, membershipKeys, time }: ProvenanceCheck,
): VerifiedProvenance {
  checkSize(bytes.length);
  const envelope = decodeEnvelope(bytes);
  const { payloadType, payload } = envelope;
  if (payloadType !== PROVENANCE_PAYLOAD_TYPE) {
    const message = `the envelope holds ${printable(payloadType)}, not ${PROVENANCE_PAYLOAD_TYPE}`;
    throw new ProvenanceRefusedError("malformed", message);
  }
  if (certificate === undefined) {
    throw new ProvenanceRefusedError("untrusted", "no membership certificate came with it");
  }
  const membershipKeyId = membershipKeys && signedBy(certificate, membershipKeys);
  const { publicKey, expireTime } = checkMembership(certificate, facts.builderId);
  requireSignature(envelope, publicKey);
  const times = checkStatement(payload, facts);
  const end = Math.max(times.finishedOn.getTime(), time.getTime());
  if (expireTime.getTime() <= end) {
    throw new ProvenanceRefusedError(
      "expired",
      `the builder's certificate ended ${expireTime.toISOString()}, ` +
        `and the build ${new Date(end).toISOString()}`,
    );
  }
  const { builderId } = facts;
  return {
    ...times,
    builderId,
    keyId: shortKeyId(publicKey),
    publicKey,
    membershipKeyId,
    expireTime,
  };
}

function checkSize(length: number): void {
  if (length <= PROVENANCE_MAX_BYTES) return;
  const message = `the provenance has ${length} bytes, more than ${PROVENANCE_MAX_BYTES}`;
  throw new ProvenanceRefusedError("oversized", message);
}

/** Answers the id of the key. */
function signedBy(
  { payload, signature }: MembershipCertificate,
  membershipKeys: readonly KeyObject[],
): string {
  const message = signedMessage(MEMBERSHIP_SIGNATURE_CONTEXT, payload);
  const key = membershipKeys.find((one) => isSignatureOf(one, message, signature));
  if (key !== undefined) return shortKeyId(key);
  const ids = membershipKeys.map(shortKeyId).join(" or ");
  throw new ProvenanceRefusedError(
    "untrusted",
    `the builder's certificate is not signed by the membership key ${ids}`,
  );
}

function checkMembership(
  certificate: MembershipCertificate,
  builderId: string,
): { publicKey: KeyObject; expireTime: Date } {
  const membership = decode(Membership, certificate.payload, "builder's certificate");
  const { id, role, publicKey, expireTime } = membership;
  if (role !== Role.BUILDER) {
    const name = Role[role]?.toLowerCase() ?? "member of an unknown role";
    const message = `the certificate is of ${name} ${printable(id)}, not of a builder`;
    throw new ProvenanceRefusedError("stranger", message);
  }
  if (id !== builderId) {
    const message = `the certificate is of builder ${printable(id)}, not of ${printable(builderId)}`;
    throw new ProvenanceRefusedError("stranger", message);
  }
  if (
    publicKey.length !== RAW_KEY_BYTES ||
    expireTime === undefined ||
    Number.isNaN(expireTime.getTime())
  ) {
    throw new ProvenanceRefusedError(
      "malformed",
      "the builder's certificate has no key, or no end",
    );
  }
  return { publicKey: publicKeyOf(publicKey), expireTime };
}

function requireSignature(envelope: Envelope, publicKey: KeyObject): void {
  const message = preAuthEncoding(envelope.payloadType, envelope.payload);
  const isSigned = envelope.signatures.some(({ signature }) =>
    isSignatureOf(publicKey, message, signature),
  );
  if (isSigned) return;
  throw new ProvenanceRefusedError(
    "forged",
    `the envelope is not signed by the certificate's key ${shortKeyId(publicKey)}`,
  );
}

function decode<T>(type: { decode(bytes: Uint8Array): T }, bytes: Uint8Array, what: string): T {
  try {
    return type.decode(bytes);
  } catch (error) {
    throw new ProvenanceRefusedError("malformed", `the ${what} cannot be decoded`, {
      cause: error,
    });
  }
}
