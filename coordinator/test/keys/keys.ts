import { createPublicKey, generateKeyPairSync } from "node:crypto";
import { writeFile } from "node:fs/promises";
import path from "node:path";
import { shortKeyId, type VerifiedKeySet } from "@slipway/proto";
import { writeKeySet } from "../../src/keys/key-set-file.js";

/** A key pair in files, as `keygen` makes it. */
export interface KeyFiles {
  keyId: string;
  /** Private half, PEM. */
  file: string;
  publicFile: string;
  pem: string;
}

/** Makes a key pair in a folder. */
export async function makeKey(folder: string, name: string): Promise<KeyFiles> {
  const { privateKey } = generateKeyPairSync("ed25519");
  const pem = String(privateKey.export({ type: "pkcs8", format: "pem" }));
  const publicKey = createPublicKey(privateKey);
  const file = path.join(folder, `${name}.key`);
  const publicFile = `${file}.pub`;
  await writeFile(file, pem, { mode: 0o600 });
  await writeFile(publicFile, publicKey.export({ type: "spki", format: "pem" }));
  return { keyId: shortKeyId(publicKey), file, publicFile, pem };
}

/** What a test's key set says. */
export interface TestSet {
  version: number;
  goal: readonly KeyFiles[];
  membership: readonly KeyFiles[];
  revoked?: readonly KeyFiles[];
  /** By key id. */
  ends?: Readonly<Record<string, Date>>;
}

/** Signs a key set into a file, as `keys sign` does. */
export function signInto(
  out: string,
  root: KeyFiles,
  { version, goal, membership, revoked = [], ends = {} }: TestSet,
  now = Date.now(),
): Promise<VerifiedKeySet> {
  const named = ({ publicFile: file, keyId }: KeyFiles) => ({ file, notAfter: ends[keyId] });
  return writeKeySet(
    {
      rootKeys: [root.file],
      goalKeys: goal.map(named),
      membershipKeys: membership.map(named),
      revoked: revoked.map(({ keyId }) => keyId),
      version,
      out,
    },
    now,
  );
}
