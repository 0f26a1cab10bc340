import { randomBytes } from "node:crypto";
import { mkdir, mkdtemp, readFile, rename, rm, writeFile } from "node:fs/promises";
import path from "node:path";
import { generateKey } from "../keygen.js";
import { writeKeySet } from "../keys/key-set-file.js";
import { writeNatsConfig } from "../nats-access/write-nats-config.js";
import { createAuthority, issueCertificate, type PemPair } from "./certificates.js";

const AUTHORITY_DAYS = 3_650;

export interface FleetFilesOptions {
  /** Folder that is made; it must not exist, or be empty. */
  out: string;
  /** Of coordinators' machines: host names and addresses. */
  names: readonly string[];
  /** Of the fleet; with any, NATS' configuration is made too. */
  regions: readonly string[];
  /** Those that have NATS servers of their own. Default none. */
  ownServers?: readonly string[] | undefined;
  /** Where NATS servers keep what they keep. Default /var/lib/nats. */
  natsDataDir?: string | undefined;
  /** How long servers' certificates hold. */
  days: number;
}

/**
 * Makes every key and certificate that a fleet begins with, and its first key set: all, or nothing.
 * @throws CertificateError for a name that is none; Error with a one-line reason for the folder.
 */
export async function writeFleetFiles({
  out,
  names,
  regions,
  ownServers,
  natsDataDir: dataDir,
  days,
}: FleetFilesOptions): Promise<void> {
  const target = path.resolve(out);
  await mkdir(path.dirname(target), { recursive: true });
  const folder = await mkdtemp(`${target}.new-`);
  const file = (name: string): string => path.join(folder, name);
  try {
    for (const name of ["root.key", "goal.key", "membership.key"]) await generateKey(file(name));
    await writeKeySet(
      {
        rootKeys: [file("root.key")],
        goalKeys: [{ file: file("goal.key.pub"), notAfter: undefined }],
        membershipKeys: [{ file: file("membership.key.pub"), notAfter: undefined }],
        revoked: [],
        version: 1,
        out: file("key-set"),
      },
      Date.now(),
    );
    const authority = await createAuthority(AUTHORITY_DAYS);
    await writePair(file("ca"), authority);
    await writePair(
      file("server"),
      await issueCertificate(authority, { use: "server", names, days }),
    );
    await writeSecret(file("hook.secret"), `${randomBytes(32).toString("base64url")}\n`);
    if (regions.length > 0) {
      const tls = {
        certFile: path.join(target, "server.crt"),
        keyFile: path.join(target, "server.key"),
      };
      await writeNatsConfig({ out: file("nats"), regions, ownServers, dataDir, tls });
    }
    await rename(folder, target);
  } catch (error) {
    await rm(folder, { recursive: true, force: true });
    const { code } = error as NodeJS.ErrnoException;
    if (code !== "ENOTEMPTY" && code !== "EEXIST" && code !== "ENOTDIR") throw error;
    const message = `${out} is there already: keys in use must not be lost; name another folder`;
    throw new Error(message, { cause: error });
  }
}

export interface CertificateFileOptions {
  /** Folder with ca.key and ca.crt. */
  authority: string;
  /** What is made: `out`.crt and `out`.key. */
  out: string;
  use: "server" | "client";
  names: readonly string[];
  days: number;
}

/** One more certificate by a fleet's authority. @throws CertificateError; EEXIST for what is there. */
export async function writeCertificate(options: CertificateFileOptions): Promise<void> {
  const { authority, out } = options;
  const [certificate, key] = await Promise.all(
    ["ca.crt", "ca.key"].map((name) => readFile(path.join(authority, name), "utf8")),
  );
  const pair = { certificate: certificate ?? "", key: key ?? "" };
  await writePair(out, await issueCertificate(pair, options));
}

async function writePair(out: string, { certificate, key }: PemPair): Promise<void> {
  await writeSecret(`${out}.key`, key);
  await writeFile(`${out}.crt`, certificate, { flag: "wx" });
}

function writeSecret(file: string, text: string): Promise<void> {
  return writeFile(file, text, { mode: 0o600, flag: "wx" });
}
