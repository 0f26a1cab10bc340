import { createPublicKey, sign, type KeyObject } from "node:crypto";
import { KeySet, SignedKeySet, type TrustedKey } from "../gen/slipway/v1/key_set.js";
import {
  isSignatureOf,
  KEY_ID_PATTERN,
  publicKeyOf,
  RAW_KEY_BYTES,
  shortKeyId,
  signedMessage,
} from "./ed25519.js";
import {
  KEY_SET_MAX_BYTES,
  KEY_SET_MAX_KEYS,
  KEY_SET_MAX_REVOKED,
  KEY_SET_MAX_SIGNATURES,
  KEY_SET_SIGNATURE_CONTEXT,
} from "./names.js";

/** A key that the fleet goes by. */
export interface HeldKey {
  /** First 8 bytes of SHA-256 of the raw public key, in hexadecimal. */
  readonly keyId: string;
  readonly publicKey: KeyObject;
  /** What it signed holds until then; undefined: until another set says otherwise. */
  readonly notAfter: Date | undefined;
}

/** A key set whose form, and signature if keys for it were given, were checked. */
export interface VerifiedKeySet {
  /** At least 1. Of two sets the one with the higher version holds. */
  readonly version: number;
  readonly issueTime: Date;
  /** At least one, at most 32, no two alike, none of them revoked. */
  readonly goalKeys: readonly HeldKey[];
  /** The same. */
  readonly membershipKeys: readonly HeldKey[];
  /** At most 1,000. */
  readonly revokedKeyIds: ReadonlySet<string>;
  /** The SignedKeySet as received, to be kept and passed on. */
  readonly signed: Buffer;
}

/** Says in one line why a key set is not to be used. */
export class KeySetRefusedError extends Error {
  override readonly name = "KeySetRefusedError";
}

/**
 * A SignedKeySet, signed by each of the root's private keys.
 * @throws KeySetRefusedError if nobody would take the set.
 */
export function signKeySet(set: KeySet, rootKeys: readonly KeyObject[]): Buffer {
  const payload = Buffer.from(KeySet.encode(set).finish());
  const message = signedMessage(KEY_SET_SIGNATURE_CONTEXT, payload);
  const signatures = rootKeys.map((privateKey) => ({
    signature: sign(null, message, privateKey),
    keyId: shortKeyId(createPublicKey(privateKey)),
  }));
  const signed = Buffer.from(SignedKeySet.encode({ payload, signatures }).finish());
  return verifyKeySet(signed, rootKeys.map(createPublicKey)).signed;
}

/**
 * Reads a SignedKeySet. Neither the order of sets nor the clock is looked at.
 * @param rootKeys - Public ones, of which one must have signed; undefined: the signature is left to
 *   others to check.
 * @throws KeySetRefusedError saying what does not fit.
 */
export function verifyKeySet(
  signed: Uint8Array,
  rootKeys: readonly KeyObject[] | undefined,
): VerifiedKeySet {
  if (signed.length > KEY_SET_MAX_BYTES) {
    throw new KeySetRefusedError(`the key set is larger than ${KEY_SET_MAX_BYTES} bytes`);
  }
  const envelope = decode(SignedKeySet, signed, "signed key set");
  if (rootKeys !== undefined) requireSignature(envelope, rootKeys);
  return { ...check(decode(KeySet, envelope.payload, "key set")), signed: Buffer.from(signed) };
}

function requireSignature(
  { payload, signatures }: SignedKeySet,
  rootKeys: readonly KeyObject[],
): void {
  if (signatures.length === 0) throw new KeySetRefusedError("the key set is not signed");
  if (signatures.length > KEY_SET_MAX_SIGNATURES) {
    throw new KeySetRefusedError(`the key set has more than ${KEY_SET_MAX_SIGNATURES} signatures`);
  }
  const known = new Map(rootKeys.map((key) => [shortKeyId(key), key]));
  const message = signedMessage(KEY_SET_SIGNATURE_CONTEXT, payload);
  const ours = signatures.filter(({ keyId }) => known.has(keyId));
  if (ours.length === 0) {
    const ids = signatures.map(({ keyId }) => printable(keyId)).join(", ");
    throw new KeySetRefusedError(`the key set is not signed by the root key, but by ${ids}`);
  }
  const fits = ours.some(({ signature, keyId }) => {
    const key = known.get(keyId);
    return key !== undefined && isSignatureOf(key, message, signature);
  });
  if (!fits) throw new KeySetRefusedError("the key set's signature does not fit");
}

function check(set: KeySet): Omit<VerifiedKeySet, "signed"> {
  const { version, issueTime } = set;
  if (version < 1) throw new KeySetRefusedError("the key set has no version");
  if (!isTime(issueTime)) throw new KeySetRefusedError("the key set has no issue time");
  const revokedKeyIds = readRevoked(set.revokedKeyIds);
  return {
    version,
    issueTime,
    goalKeys: readKeys(set.goalKeys, "goal key", revokedKeyIds),
    membershipKeys: readKeys(set.membershipKeys, "membership key", revokedKeyIds),
    revokedKeyIds,
  };
}

function readRevoked(ids: readonly string[]): ReadonlySet<string> {
  if (ids.length > KEY_SET_MAX_REVOKED) {
    throw new KeySetRefusedError(`the key set revokes more than ${KEY_SET_MAX_REVOKED} keys`);
  }
  const wrong = ids.find((id) => !KEY_ID_PATTERN.test(id));
  if (wrong !== undefined) {
    throw new KeySetRefusedError(`the key set revokes ${printable(wrong)}, which is no key id`);
  }
  return new Set(ids);
}

function readKeys(
  keys: readonly TrustedKey[],
  what: string,
  revoked: ReadonlySet<string>,
): readonly HeldKey[] {
  if (keys.length === 0) throw new KeySetRefusedError(`the key set has no ${what}`);
  if (keys.length > KEY_SET_MAX_KEYS) {
    throw new KeySetRefusedError(`the key set has more than ${KEY_SET_MAX_KEYS} ${what}s`);
  }
  const held = keys.map((key) => readKey(key, what));
  const seen = new Set<string>();
  for (const { keyId } of held) {
    if (seen.has(keyId)) throw new KeySetRefusedError(`the key set has ${what} ${keyId} twice`);
    if (revoked.has(keyId)) {
      throw new KeySetRefusedError(`the key set has ${what} ${keyId} and revokes it`);
    }
    seen.add(keyId);
  }
  return held;
}

function readKey({ publicKey: raw, notAfter }: TrustedKey, what: string): HeldKey {
  if (raw.length !== RAW_KEY_BYTES) {
    throw new KeySetRefusedError(`a ${what} of the key set has ${raw.length} bytes, not 32`);
  }
  if (notAfter !== undefined && !isTime(notAfter)) {
    throw new KeySetRefusedError(`the end of a ${what} of the key set is no time`);
  }
  const publicKey = publicKeyOf(raw);
  return { keyId: shortKeyId(publicKey), publicKey, notAfter };
}

/** Times out of range come out of the decoder as what is no number. */
function isTime(time: Date | undefined): time is Date {
  return time !== undefined && !Number.isNaN(time.getTime());
}

function decode<T>(type: { decode(bytes: Uint8Array): T }, bytes: Uint8Array, what: string): T {
  try {
    return type.decode(bytes);
  } catch (error) {
    throw new KeySetRefusedError(`the ${what} cannot be decoded`, { cause: error });
  }
}

function printable(text: string): string {
  return JSON.stringify(text.slice(0, 80));
}
