import { accessSync, constants, readFileSync, statSync, type Stats } from "node:fs";
import process from "node:process";

const OTHERS = 0o007;
const GROUP_AND_OTHERS = 0o077;
const PUBLIC_MAX_BYTES = 64 * 1024;
const GROUP_OR_OTHERS_WRITE = 0o022;

/** Somebody else on the machine may read a secret. */
export class SecretFileError extends Error {
  override readonly name = "SecretFileError";
}

/**
 * Looks who may read the files, by the option that named each, before they are used. As with ssh, what
 * this process's user owns and group or others may use is refused: the owner can mend it. What it
 * cannot mend (a read-only mount, as Kubernetes makes of secrets; another owner, as root who hands a
 * secret to a group) is only warned of, and only if everybody may read it, or others may change it.
 * Files that are not there are left to who reads them; pipes and devices have no readers to fear.
 * @returns Warnings, a line each.
 * @throws SecretFileError with a line that names the option, the file, its mode, and what to do.
 */
export function checkSecretFiles(files: Readonly<Record<string, string | undefined>>): string[] {
  const warnings: string[] = [];
  for (const [option, file] of Object.entries(files)) {
    const stats = file === undefined ? undefined : statOf(file);
    if (file === undefined || stats?.isFile() !== true || isPublic(file, stats)) continue;
    const mode = stats.mode & 0o777;
    const who = (mode & OTHERS) === 0 ? "its group" : "everybody on this machine";
    const said = `${option}: ${file} holds a secret, and ${who} may use it (mode ${octal(mode)})`;
    if (isMendable(file, stats)) {
      if ((mode & GROUP_AND_OTHERS) === 0) continue;
      throw new SecretFileError(`${said}: chmod 600 ${file}`);
    }
    if ((mode & (OTHERS | GROUP_OR_OTHERS_WRITE)) === 0) continue;
    warnings.push(`${said}: have its owner or its mount give it mode 0400, or 0440 for a group`);
  }
  return warnings;
}

/** The wrong half of a pair, or a certificate: whoever reads it says that better. */
function isPublic(file: string, { size }: Stats): boolean {
  if (size > PUBLIC_MAX_BYTES) return false;
  try {
    const text = readFileSync(file, "latin1");
    return /^-----BEGIN (PUBLIC KEY|CERTIFICATE)-----/.test(text) && !text.includes("PRIVATE");
  } catch {
    return false;
  }
}

function statOf(file: string): Stats | undefined {
  try {
    return statSync(file);
  } catch {
    return undefined;
  }
}

/** Whether this process's user owns it, and it is on no read-only mount. */
function isMendable(file: string, { uid }: Stats): boolean {
  if (process.geteuid?.() !== uid) return false;
  try {
    accessSync(file, constants.W_OK);
    return true;
  } catch (error) {
    return (error as NodeJS.ErrnoException).code !== "EROFS";
  }
}

function octal(mode: number): string {
  return mode.toString(8).padStart(4, "0");
}
