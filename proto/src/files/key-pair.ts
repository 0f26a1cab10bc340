import { createPrivateKey, X509Certificate } from "node:crypto";

/**
 * Whether a private key is that of a certificate, or of the first of a chain. OpenSSL looks only when
 * both are of one kind (RSA, EC, Ed25519), and otherwise every handshake would fail. All in PEM.
 * @throws Error with a one-line reason, also if one of them cannot be read.
 */
export function checkKeyPair(certificate: string | Uint8Array, key: string | Uint8Array): void {
  const owner = new X509Certificate(certificate);
  if (owner.checkPrivateKey(createPrivateKey(Buffer.from(key)))) return;
  throw new Error("the key is not the certificate's: name the private key that it was made for");
}
