import { createPublicKey, sign } from "node:crypto";
import { keyId, parsePrivateKey } from "../goal/signing.js";
import { readNamedFile } from "../named-file.js";

/** Signs with the fleet's membership key, wherever that is. */
export interface MembershipSigner {
  /** First 8 bytes of SHA-256 of the raw public key, in hexadecimal. */
  readonly keyId: string;
  /** 64 bytes of Ed25519. */
  sign(bytes: Buffer): Promise<Buffer>;
}

/** A signer with a key in a file (PKCS#8 PEM). @throws Error with a one-line reason. */
export async function readMembershipSigner(file: string): Promise<MembershipSigner> {
  const pem = await readNamedFile("membership key", file);
  const privateKey = parsePrivateKey(pem, "membership key");
  return {
    keyId: keyId(createPublicKey(privateKey)),
    sign: (bytes) => Promise.resolve(sign(null, bytes, privateKey)),
  };
}
