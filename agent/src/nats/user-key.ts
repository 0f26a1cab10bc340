import { nkeys } from "nats";

/** A fresh key of a NATS user: its seed, "SU" and more characters. */
export function createUserSeed(): string {
  return Buffer.from(nkeys.createUser().getSeed()).toString();
}

/** The public key of a seed: "U" and 55 characters. @throws Error if it is no user's seed. */
export function userPublicKey(seed: string): string {
  return nkeys.fromSeed(Buffer.from(seed)).getPublicKey();
}

/** 64 bytes of Ed25519. */
export function signAsUser(seed: string, message: Uint8Array): Buffer {
  return Buffer.from(nkeys.fromSeed(Buffer.from(seed)).sign(message));
}
