import { createHash, createPrivateKey, createPublicKey, verify, type KeyObject } from "node:crypto";

// RFC 8410: what DER has before the 32 raw bytes, of a public key (SPKI) and of a private one (PKCS#8).
const SPKI_HEAD = Buffer.from("302a300506032b6570032100", "hex");
const PKCS8_HEAD = Buffer.from("302e020100300506032b657004220420", "hex");

/** Of a public key, and of the seed that a private one is made of. */
export const RAW_KEY_BYTES = 32;
export const SIGNATURE_BYTES = 64;
/** What shortKeyId answers. */
export const KEY_ID_PATTERN = /^[0-9a-f]{16}$/;

/** First 8 bytes of SHA-256 of the raw public key, in hexadecimal: how signatures name it. */
export function shortKeyId(publicKey: KeyObject): string {
  return createHash("sha256").update(rawPublicKey(publicKey)).digest("hex").slice(0, 16);
}

/** The 32 bytes of an Ed25519 public key. @throws TypeError if it is another kind of key. */
export function rawPublicKey(publicKey: KeyObject): Buffer {
  if (publicKey.asymmetricKeyType !== "ed25519") throw new TypeError("not an Ed25519 key");
  return publicKey.export({ type: "spki", format: "der" }).subarray(SPKI_HEAD.length);
}

/** An Ed25519 public key of its 32 bytes. @throws RangeError if there are not 32. */
export function publicKeyOf(raw: Uint8Array): KeyObject {
  return createPublicKey({ key: der(SPKI_HEAD, raw), format: "der", type: "spki" });
}

/** An Ed25519 private key of its seed, 32 bytes. @throws RangeError if there are not 32. */
export function privateKeyOf(seed: Uint8Array): KeyObject {
  return createPrivateKey({ key: der(PKCS8_HEAD, seed), format: "der", type: "pkcs8" });
}

/**
 * What is signed: the payload behind its context, so that nothing counts as what it was not signed as.
 */
export function signedMessage(context: string, payload: Uint8Array): Buffer {
  return Buffer.concat([Buffer.from(context), payload]);
}

/** Whether the key has made this signature of the message; false for what is no signature at all. */
export function isSignatureOf(
  publicKey: KeyObject,
  message: Uint8Array,
  signature: Uint8Array,
): boolean {
  return signature.length === SIGNATURE_BYTES && verify(null, message, publicKey, signature);
}

function der(head: Buffer, raw: Uint8Array): Buffer {
  if (raw.length !== RAW_KEY_BYTES)
    throw new RangeError(`not ${RAW_KEY_BYTES} bytes but ${raw.length}`);
  return Buffer.concat([head, raw]);
}
