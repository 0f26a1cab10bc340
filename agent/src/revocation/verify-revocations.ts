import {
  RevocationList,
  REVOCATIONS_SIGNATURE_CONTEXT,
  SignedRevocationList,
} from "@slipway/proto";
import { signatureFault } from "../host/verify-goal.js";
import { REVOKED_MAX } from "../swarm/revoked.js";
import { type GoalKeys, outlives } from "../trust/trusted-keys.js";

/** Largest list that is looked at: NATS' own bound for a message. */
const MAX_BYTES = 1024 * 1024;

/** Which hosts the fleet has taken the certificates of back. */
export interface Revocations {
  /** At least 1. Of two lists the one with the higher version holds. */
  readonly version: number;
  /** At most 100,000: those that were decommissioned last. */
  readonly hostIds: ReadonlySet<string>;
  /** How many more the list has. */
  readonly leftOut: number;
  /** The SignedRevocationList as received, to be kept and passed on. */
  readonly signed: Buffer;
  /** Of the key that signed it. */
  readonly keyId: string;
}

export class RevocationsRefusedError extends Error {
  override readonly name = "RevocationsRefusedError";
}

/**
 * Checks that a list of revoked hosts comes from the fleet. The order of lists is not looked at.
 * @param keys - Undefined: the signature is left to others to check.
 * @param kept - The list held already, when its key did: that the key holds no more does not matter.
 * @throws RevocationsRefusedError saying what does not fit.
 */
export function verifyRevocations(
  signed: Buffer,
  keys: GoalKeys | undefined,
  { kept = false }: { kept?: boolean } = {},
): Revocations {
  if (signed.length > MAX_BYTES) throw new RevocationsRefusedError("the list is too large");
  const list = decode(SignedRevocationList, signed, "signed list");
  const fault = keys && signatureFault("list", list, REVOCATIONS_SIGNATURE_CONTEXT, keys);
  const stays = kept && fault?.key !== undefined && outlives(fault.key);
  if (fault !== undefined && !stays) throw new RevocationsRefusedError(fault.message);
  const { version, hostIds } = decode(RevocationList, list.payload, "list");
  if (version < 1) throw new RevocationsRefusedError("the list has no version");
  const all = new Set(hostIds);
  const newest = all.size <= REVOKED_MAX ? all : new Set([...all].slice(0, REVOKED_MAX));
  const { keyId } = list;
  return { version, hostIds: newest, leftOut: all.size - newest.size, signed, keyId };
}

function decode<T>(type: { decode(bytes: Buffer): T }, bytes: Buffer, what: string): T {
  try {
    return type.decode(bytes);
  } catch (error) {
    throw new RevocationsRefusedError(`the ${what} cannot be decoded`, { cause: error });
  }
}
