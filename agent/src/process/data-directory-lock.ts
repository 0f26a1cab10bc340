import { randomBytes } from "node:crypto";
import { open, readdir, rm } from "node:fs/promises";
import path from "node:path";
import { setTimeout as delay } from "node:timers/promises";
import { identityTag, isTagAlive, ownIdentity } from "./identity.js";

/** `lock.PID.START.RANDOM`: all that is to be said is in the name, which a full disk still takes. */
const LOCK_PATTERN = /^lock\.((\d+)\.[0-9a-f]{16})\.[0-9a-f]{16}$/;
const ATTEMPTS = 8;
const WAIT_MS = 150;

/** Another agent uses the data directory. */
export class DataDirectoryInUseError extends Error {
  override readonly name = "DataDirectoryInUseError";
}

/**
 * Takes a data directory for this process; the answer gives it back.
 * @throws DataDirectoryInUseError while the process that has it lives.
 */
export async function lockDataDirectory(directory: string): Promise<() => Promise<void>> {
  const tag = identityTag(await ownIdentity());
  for (let attempt = 1; ; attempt++) {
    // Never the name of an earlier one, so that nobody removes it for a dead process's.
    const lock = path.join(directory, `lock.${tag}.${randomBytes(8).toString("hex")}`);
    const unlock = (): Promise<void> => rm(lock, { force: true });
    await (await open(lock, "wx", 0o600)).close();
    let other: { pid: string; name: string } | undefined;
    try {
      other = await findOther(directory, lock);
    } catch (error) {
      await unlock();
      throw error;
    }
    if (other === undefined) return unlock;
    await unlock();
    if (attempt === ATTEMPTS) {
      throw new DataDirectoryInUseError(
        `the lock file ${other.name} says that process ${other.pid} has the data directory ` +
          `${directory}: if it uses this one, give this agent a directory of its own; if this one is ` +
          "a copy of that process's, the file came with it, and so did its identity, which two agents " +
          "cannot have: use an empty directory and an id of its own",
      );
    }
    // Two that start at once see each other and both withdraw; chance parts them.
    await delay(Math.random() * WAIT_MS);
  }
}

/**
 * Another living process that has or wants the directory. Whoever takes it has announced itself
 * before it looks here, so of two the later to look sees the other. Removes what dead ones left.
 */
async function findOther(
  directory: string,
  own: string,
): Promise<{ pid: string; name: string } | undefined> {
  for (const name of await readdir(directory)) {
    const [, tag = "", pid] = LOCK_PATTERN.exec(name) ?? [];
    const file = path.join(directory, name);
    if (pid === undefined || file === own) continue;
    if (await isTagAlive(tag)) return { pid, name };
    await rm(file, { force: true });
  }
  return undefined;
}
