import { randomUUID } from "node:crypto";
import { link, readFile, rename, rm, writeFile } from "node:fs/promises";
import path from "node:path";
import { isAlive, ownIdentity, type ProcessIdentity } from "../process/identity.js";

const FILE = "agent.lock";

export class DataDirectoryInUseError extends Error {
  override readonly name = "DataDirectoryInUseError";
}

/**
 * Takes a data directory for this process; the answer gives it back.
 * @throws DataDirectoryInUseError while the process that holds it lives.
 */
export async function lockDataDirectory(directory: string): Promise<() => Promise<void>> {
  const file = path.join(directory, FILE);
  const own = JSON.stringify({ ...(await ownIdentity()), nonce: randomUUID() });
  const temporary = `${file}.${randomUUID()}`;
  await writeFile(temporary, own, { mode: 0o600 });
  try {
    // link(2) fails if the name exists, and never shows half a file.
    while (!(await tryLink(temporary, file))) await removeStale(file, directory);
  } finally {
    await rm(temporary, { force: true });
  }
  return async () => {
    if ((await readIfThere(file)) === own) await rm(file, { force: true });
  };
}

/** Moves a dead process's lock out of the way. */
async function removeStale(file: string, directory: string): Promise<void> {
  const content = await readIfThere(file);
  if (content === undefined) return;
  const holder = parse(content);
  if (holder !== undefined && (await isAlive(holder))) {
    throw new DataDirectoryInUseError(`process ${holder.pid} uses the data directory ${directory}`);
  }
  const aside = `${file}.${randomUUID()}`;
  try {
    await rename(file, aside);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === "ENOENT") return;
    throw error;
  }
  try {
    // Another agent may have put its own in place meanwhile: give that back.
    if ((await readIfThere(aside)) !== content) await tryLink(aside, file);
  } finally {
    await rm(aside, { force: true });
  }
}

function parse(content: string): ProcessIdentity | undefined {
  try {
    const value: unknown = JSON.parse(content);
    if (typeof value !== "object" || value === null) return undefined;
    const { pid, startTime } = value as { pid?: unknown; startTime?: unknown };
    return typeof pid === "number" &&
      Number.isInteger(pid) &&
      pid > 0 &&
      typeof startTime === "string"
      ? { pid, startTime }
      : undefined;
  } catch {
    // Not JSON: nobody's lock.
    return undefined;
  }
}

async function tryLink(from: string, to: string): Promise<boolean> {
  try {
    await link(from, to);
    return true;
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === "EEXIST") return false;
    throw error;
  }
}

async function readIfThere(file: string): Promise<string | undefined> {
  try {
    return await readFile(file, "utf8");
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === "ENOENT") return undefined;
    throw error;
  }
}
