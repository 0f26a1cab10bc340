import { randomUUID } from "node:crypto";
import { readFile, rename, rm, writeFile } from "node:fs/promises";
import path from "node:path";
import { createKeys, type IssuerKeys, type NatsKeys, type OfflineKeys } from "./keys.js";
import type { Revocations } from "./accounts.js";

/** Only whoever runs nats-config needs it. */
const OFFLINE_FILE = "offline.json";
/** For coordinators that revoke. */
const OPERATOR_SIGNING_FILE = "operator-signing.nk";
/** For coordinators, who make users of members. */
const ISSUER_FILE = "issuer.json";
const USERS_FILE = "users.json";

/** Which users were made in files, and which of them were replaced. */
export interface MadeUsers {
  /** Public keys by the user's name. */
  users: Record<string, string>;
  revocations: Revocations;
}

/** A folder or file of keys cannot be used; says what to do. */
export class NatsKeysError extends Error {
  override readonly name = "NatsKeysError";
}

/** The keys in the folder; new ones if there are none. @throws NatsKeysError if some are missing. */
export async function readKeys(folder: string): Promise<NatsKeys> {
  const [offline, operatorSigning, issuer] = await Promise.all([
    readText(path.join(folder, OFFLINE_FILE)),
    readText(path.join(folder, OPERATOR_SIGNING_FILE)),
    readText(path.join(folder, ISSUER_FILE)),
  ]);
  if (offline === undefined && operatorSigning === undefined && issuer === undefined) {
    return createKeys();
  }
  if (offline === undefined || operatorSigning === undefined || issuer === undefined) {
    throw new NatsKeysError(
      `${folder} holds a part of the keys only: put ${OFFLINE_FILE}, ${OPERATOR_SIGNING_FILE} and ` +
        `${ISSUER_FILE} there together, or name an empty folder to begin anew`,
    );
  }
  return {
    offline: parse<OfflineKeys>(path.join(folder, OFFLINE_FILE), offline, ["operator", "system"]),
    operatorSigning: operatorSigning.trim(),
    issuer: parseIssuer(path.join(folder, ISSUER_FILE), issuer),
  };
}

/** Reads issuer.json. @throws NatsKeysError */
export async function readIssuerKeys(file: string): Promise<IssuerKeys> {
  const text = await readText(file);
  if (text === undefined) throw new NatsKeysError(`there is no ${file}: nats-config makes it`);
  return parseIssuer(file, text);
}

/** Writes all keys, for their owner only. */
export async function writeKeys(folder: string, keys: NatsKeys): Promise<void> {
  await writePrivate(path.join(folder, OFFLINE_FILE), json(keys.offline));
  await writePrivate(path.join(folder, OPERATOR_SIGNING_FILE), `${keys.operatorSigning}\n`);
  await writePrivate(path.join(folder, ISSUER_FILE), json(keys.issuer));
}

export async function readMadeUsers(folder: string): Promise<MadeUsers> {
  const file = path.join(folder, USERS_FILE);
  const text = await readText(file);
  if (text === undefined) return { users: {}, revocations: {} };
  return parse<MadeUsers>(file, text, ["users", "revocations"]);
}

export async function writeMadeUsers(folder: string, made: MadeUsers): Promise<void> {
  await writePrivate(path.join(folder, USERS_FILE), json(made));
}

/** Replaces the file at once, readable for its owner only. */
export async function writePrivate(file: string, content: string | Uint8Array): Promise<void> {
  const temporary = `${file}.${randomUUID()}.tmp`;
  try {
    await writeFile(temporary, content, { mode: 0o600, flag: "wx", flush: true });
    await rename(temporary, file);
  } catch (error) {
    await rm(temporary, { force: true });
    throw error;
  }
}

/** The file's text; undefined if there is none. */
export async function readText(file: string): Promise<string | undefined> {
  try {
    return await readFile(file, "utf8");
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException;
    if (code === "ENOENT") return undefined;
    throw new NatsKeysError(`${file} cannot be read: ${code ?? String(error)}`, { cause: error });
  }
}

function parseIssuer(file: string, text: string): IssuerKeys {
  return parse<IssuerKeys>(file, text, ["global", "regions"]);
}

function parse<T>(file: string, text: string, fields: readonly (keyof T & string)[]): T {
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch {
    // The text holds secrets, which the parser's message would quote.
    throw new NatsKeysError(`${file} is no JSON`);
  }
  for (const field of fields) {
    if (typeof value !== "object" || value === null || !Object.hasOwn(value, field)) {
      throw new NatsKeysError(`${file} has no ${field}: it is not what nats-config wrote`);
    }
  }
  return value as T;
}

function json(value: unknown): string {
  return `${JSON.stringify(value, null, 2)}\n`;
}
