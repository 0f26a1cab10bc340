import { createPublicKey } from "node:crypto";
import process from "node:process";
import { rename, rm, writeFile } from "node:fs/promises";
import {
  KEY_ID_PATTERN,
  KeySetRefusedError,
  rawPublicKey,
  shortKeyId,
  signKeySet,
  type TrustedKey,
  type VerifiedKeySet,
  verifyKeySet,
} from "@slipway/proto";
import { readNamedBytes, readNamedFile } from "../named-file.js";
import { parsePrivateKey, parsePublicKey } from "./signer.js";

/** A day, or a time of it that says its zone. */
const TIME = /^\d{4}-\d{2}-\d{2}(T\d{2}:\d{2}(:\d{2}(\.\d{1,3})?)?(Z|[+-]\d{2}:\d{2}))?$/;

/** A public key in a file, and maybe its end. */
export interface NamedKey {
  file: string;
  notAfter: Date | undefined;
}

export interface KeySetFileOptions {
  /** Private keys in PEM, of which each signs. */
  rootKeys: readonly string[];
  goalKeys: readonly NamedKey[];
  membershipKeys: readonly NamedKey[];
  /** Ids, or files of public keys. */
  revoked: readonly string[];
  version: number;
  /** Replaced if it is a key set with a lower version. */
  out: string;
}

/** FILE, or FILE@END: a day begins at midnight UTC. @throws Error with a one-line reason. */
export function parseNamedKey(text: string): NamedKey {
  const at = text.lastIndexOf("@");
  const end = at < 0 ? "" : text.slice(at + 1);
  // A file's name may have one in it.
  if (!/^\d{4}-/.test(end)) return { file: text, notAfter: undefined };
  const notAfter = new Date(end);
  if (!TIME.test(end) || Number.isNaN(notAfter.getTime())) {
    throw new Error(`not a day or a time with its zone, as 2027-01-31T12:00:00Z is: ${end}`);
  }
  return { file: text.slice(0, at), notAfter };
}

/** Signs a key set and writes it at once or not at all. @throws Error with a one-line reason. */
export async function writeKeySet(
  options: KeySetFileOptions,
  now: number,
): Promise<VerifiedKeySet> {
  const { version, out } = options;
  const rootKeys = await Promise.all(
    options.rootKeys.map(async (file) =>
      parsePrivateKey(await readNamedFile("root key", file), `root key ${file}`),
    ),
  );
  const set = {
    version,
    issueTime: new Date(now),
    goalKeys: await Promise.all(options.goalKeys.map((key) => readKey(key, now))),
    membershipKeys: await Promise.all(options.membershipKeys.map((key) => readKey(key, now))),
    revokedKeyIds: await Promise.all(options.revoked.map(readKeyId)),
  };
  const roots = new Set(rootKeys.map((key) => shortKeyId(createPublicKey(key))));
  const signed = verifyKeySet(signKeySet(set, rootKeys), undefined);
  const misused = [...signed.goalKeys, ...signed.membershipKeys].find(({ keyId }) =>
    roots.has(keyId),
  );
  if (misused !== undefined) {
    throw new Error(`key ${misused.keyId} is the root key, which signs nothing but key sets`);
  }
  await requireNewer(out, version);
  const fresh = `${out}.new-${process.pid}`;
  try {
    await writeFile(fresh, signed.signed, { flag: "wx" });
    await rename(fresh, out);
  } catch (error) {
    await rm(fresh, { force: true });
    throw error;
  }
  return signed;
}

/** @throws Error with a one-line reason, if it can't be read or is no key set. */
export async function readKeySet(
  file: string,
  rootPublicKeyFile: string | undefined,
): Promise<VerifiedKeySet> {
  const rootKeys =
    rootPublicKeyFile === undefined
      ? undefined
      : [
          parsePublicKey(
            await readNamedFile("root public key", rootPublicKeyFile),
            "root public key",
          ),
        ];
  const bytes = await readNamedBytes("key set", file);
  try {
    return verifyKeySet(bytes, rootKeys);
  } catch (error) {
    if (!(error instanceof KeySetRefusedError)) throw error;
    throw new Error(`${file}: ${error.message}`, { cause: error });
  }
}

async function readKey({ file, notAfter }: NamedKey, now: number): Promise<TrustedKey> {
  if (notAfter !== undefined && notAfter.getTime() <= now) {
    throw new Error(`the end of ${file} has passed: leave the key out, or revoke it`);
  }
  const key = parsePublicKey(await readNamedFile("public key", file), `public key ${file}`);
  return { publicKey: rawPublicKey(key), notAfter };
}

async function readKeyId(text: string): Promise<string> {
  if (KEY_ID_PATTERN.test(text)) return text;
  const pem = await readNamedFile("revoked public key", text);
  return shortKeyId(parsePublicKey(pem, `public key ${text}`));
}

/** What is there may be in use: a set that hosts take must have a higher version. */
async function requireNewer(out: string, version: number): Promise<void> {
  let there: VerifiedKeySet;
  try {
    there = await readKeySet(out, undefined);
  } catch (error) {
    const { cause } = error as Error;
    if ((cause as NodeJS.ErrnoException | undefined)?.code === "ENOENT") return;
    throw new Error(`${out} is there and is no key set that could be replaced`, { cause: error });
  }
  if (there.version >= version) {
    throw new Error(`${out} has version ${there.version} already: sign a higher one`);
  }
}
