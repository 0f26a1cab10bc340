import { generateKeyPairSync } from "node:crypto";
import { writeFile } from "node:fs/promises";

/**
 * Writes a new Ed25519 pair: `file` (PKCS#8 PEM, only for the owner) and `file`.pub (SPKI PEM).
 * @throws Error if either exists: a key in use must not be lost.
 */
export async function generateKey(file: string): Promise<void> {
  const { privateKey, publicKey } = generateKeyPairSync("ed25519");
  const pem = privateKey.export({ type: "pkcs8", format: "pem" });
  await writeFile(file, pem, { mode: 0o600, flag: "wx" });
  await writeFile(`${file}.pub`, publicKey.export({ type: "spki", format: "pem" }), { flag: "wx" });
}
