import { nkeys } from "nats";
import { isSignedBy } from "../nats-access/fast-keys.js";

/** A NATS user's public key: "U" and 55 more characters with a checksum. */
export function isNatsUserKey(text: string): boolean {
  if (!/^U[A-Z2-7]{55}$/.test(text)) return false;
  try {
    nkeys.fromPublic(text);
    return true;
  } catch {
    return false;
  }
}

/** Whether the holder of a NATS user's key signed the bytes. */
export function isSignedByNatsKey(text: string, bytes: Uint8Array, signature: Uint8Array): boolean {
  try {
    return isSignedBy(text, bytes, signature);
  } catch {
    return false;
  }
}
