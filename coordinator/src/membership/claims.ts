import { status } from "@grpc/grpc-js";
import {
  isSignatureOf,
  JOIN_SIGNATURE_CONTEXT,
  JoinClaim,
  type JoinRequest,
  publicKeyOf,
  RENEW_SIGNATURE_CONTEXT,
  RenewClaim,
  type RenewRequest,
  Role,
  signedMessage,
} from "@slipway/proto";
import { DomainError, failedPrecondition, invalidArgument } from "../errors.js";
import { Violations } from "../validate.js";
import { isNatsUserKey, isSignedByNatsKey } from "./nats-key.js";
import { isMemberRole, type MemberRole } from "./roles.js";

const MAX_CLAIM_BYTES = 1_024;
/** Between a member's word for our time and ours. */
const MAX_SKEW_MS = 2 * 60_000;

/** Who wants to join, with keys that it has proved to hold. */
export interface CheckedClaim {
  id: string;
  role: MemberRole;
  /** Empty for a builder. */
  region: string;
  /** 32 bytes. */
  publicKey: Buffer;
  /** Empty for an agent that has none. */
  natsPublicKey: string;
}

/**
 * What a request to join claims. Pure.
 * @throws DomainError INVALID_ARGUMENT for what makes no sense, and for keys that did not sign it.
 */
export function readJoinClaim({ claim, signature, natsSignature }: JoinRequest): CheckedClaim {
  const { id, region, role, publicKey, natsPublicKey } = decode(JoinClaim, claim);
  const found = new Violations();
  found.name("claim.id", id);
  if (!isMemberRole(role)) {
    found.add("claim.role", "must be host, region or builder");
    found.throwIfAny();
    throw new Error("a role that is none was found to be none");
  }
  if (role === Role.BUILDER) found.check(region === "", "claim.region", "must be empty: a builder");
  else found.name("claim.region", region);
  const message = signedMessage(JOIN_SIGNATURE_CONTEXT, claim);
  if (found.check(publicKey.length === 32, "claim.public_key", "must have 32 bytes")) {
    const signed = isSignatureOf(publicKeyOf(publicKey), message, signature);
    found.check(signed, "signature", "must be the claim's, by its public_key");
  }
  if (natsPublicKey === "") {
    found.check(natsSignature.length === 0, "nats_signature", "must be empty without a key");
  } else if (
    found.check(isNatsUserKey(natsPublicKey), "claim.nats_public_key", "must be a NATS user's")
  ) {
    const signed = isSignedByNatsKey(natsPublicKey, message, natsSignature);
    found.check(signed, "nats_signature", "must be the claim's, by its nats_public_key");
  }
  found.throwIfAny();
  return { id, role, region, publicKey: Buffer.from(publicKey), natsPublicKey };
}

/** What a request to renew says, before it is known whose it is. @throws DomainError */
export function readRenewClaim({ claim }: RenewRequest): { id: string; time: Date } {
  const { id, time } = decode(RenewClaim, claim);
  const found = new Violations();
  found.name("claim.id", id);
  if (time === undefined) found.add("claim.time", "is missing");
  else found.time("claim.time", time);
  found.throwIfAny();
  return { id, time: time as Date };
}

/** Whether the member signed its renewal. Pure. */
export function isSignedRenewal(request: RenewRequest, publicKey: Uint8Array): boolean {
  const message = signedMessage(RENEW_SIGNATURE_CONTEXT, request.claim);
  return isSignatureOf(publicKeyOf(publicKey), message, request.signature);
}

/** @throws DomainError FAILED_PRECONDITION unless the time is about now. */
export function checkClaimTime(time: Date, now: number): void {
  if (Math.abs(time.getTime() - now) <= MAX_SKEW_MS) return;
  throw failedPrecondition(
    "TIME_DIFFERS",
    `the renewal names the time ${time.toISOString()}, and here it is ${new Date(now).toISOString()}: ` +
      "ask for the time again",
  );
}

/** Whoever is nobody, and whoever has not its key, hear the same. */
export function notThatMember(): DomainError {
  const message = "no member of that id signed this";
  return new DomainError(status.UNAUTHENTICATED, message, { reason: "NOT_THAT_MEMBER" });
}

function decode<T>(type: { decode(bytes: Uint8Array): T }, claim: Uint8Array): T {
  if (claim.length === 0) throw badClaim("is missing");
  if (claim.length > MAX_CLAIM_BYTES) throw badClaim(`must have at most ${MAX_CLAIM_BYTES} bytes`);
  try {
    return type.decode(claim);
  } catch {
    throw badClaim("cannot be decoded");
  }
}

function badClaim(description: string): DomainError {
  return invalidArgument([{ field: "claim", description }]);
}
