import { randomBytes } from "node:crypto";
import { chmod, mkdir, mkdtemp, readFile, readdir, rename, rm, writeFile } from "node:fs/promises";
import path from "node:path";
import { setTimeout as delay } from "node:timers/promises";
import type { Lease } from "@slipway/proto";
import { isAlive, ownIdentity, type ProcessIdentity } from "../process/identity.js";
import { errorCode } from "../store/errors.js";

const LOCK_PATTERN = /^lock\.[0-9a-f]{16}$/;
const LOCK_ATTEMPTS = 6;
const LOCK_WAIT_MS = 150;

/** Another builder uses the data directory. */
export class DataDirectoryInUseError extends Error {
  override readonly name = "DataDirectoryInUseError";
}

/** A builder's own directory: `lock.*`, `groups/`, `histories/` and `work/`. */
export class DataDirectory {
  readonly #root: string;
  readonly #lock: string;

  private constructor(root: string, lock: string) {
    this.#root = root;
    this.#lock = lock;
  }

  /** Takes the directory for this builder. Throws DataDirectoryInUseError if another has it. */
  static async lock(directory: string): Promise<DataDirectory> {
    const root = path.resolve(directory);
    await mkdir(root, { recursive: true, mode: 0o700 });
    for (let attempt = 0; ; attempt++) {
      const lock = await announce(root);
      const other = await findOther(root, lock).catch(async (error: unknown) => {
        await rm(lock, { force: true });
        throw error;
      });
      if (other === undefined) return new DataDirectory(root, lock);
      await rm(lock, { force: true });
      if (attempt + 1 >= LOCK_ATTEMPTS) {
        throw new DataDirectoryInUseError(
          `the data directory ${root} is in use by the builder with process ${other.pid}; ` +
            "give each builder a directory of its own",
        );
      }
      // Two that start at once see each other and both withdraw; chance parts them.
      await delay(Math.random() * LOCK_WAIT_MS);
    }
  }

  get groups(): string {
    return path.join(this.#root, "groups");
  }

  get work(): string {
    return path.join(this.#root, "work");
  }

  get histories(): string {
    return path.join(this.#root, "histories");
  }

  /** Removes the checkouts of a former process. Returns the leases that it built there. */
  async clearWork(): Promise<Lease[]> {
    const names = await readdir(this.work).catch((error: unknown) => {
      if (errorCode(error) !== "ENOENT") throw error;
      return [];
    });
    for (const name of names) await removeTree(path.join(this.work, name));
    await mkdir(this.work, { recursive: true });
    return names.flatMap((name) => {
      const [, buildId, attempt] = /^(.+)-(\d+)-[^-]+$/.exec(name) ?? [];
      return buildId === undefined ? [] : { buildId, attempt: Number(attempt) };
    });
  }

  /** A new directory for one attempt to build. */
  async createWork(buildId: string, attempt: number): Promise<string> {
    const name = buildId.replaceAll(/[^A-Za-z0-9-]/g, "_").slice(0, 64);
    return mkdtemp(path.join(this.work, `${name}-${attempt}-`));
  }

  /** Lets another builder have the directory. */
  async unlock(): Promise<void> {
    await rm(this.#lock, { force: true });
  }
}

/** Removes a tree also if it holds directories that its owner may not write to. */
export async function removeTree(directory: string): Promise<void> {
  try {
    await rm(directory, { recursive: true, force: true, maxRetries: 5, retryDelay: 50 });
  } catch (error) {
    if (errorCode(error) !== "EACCES" && errorCode(error) !== "EPERM") throw error;
    await makeWritable(directory);
    await rm(directory, { recursive: true, force: true, maxRetries: 5, retryDelay: 50 });
  }
}

async function makeWritable(directory: string): Promise<void> {
  await chmod(directory, 0o700);
  for (const entry of await readdir(directory, { withFileTypes: true })) {
    if (entry.isDirectory()) await makeWritable(path.join(directory, entry.name));
  }
}

/** Says that this process wants the directory, under a name that is never used again. */
async function announce(root: string): Promise<string> {
  const random = randomBytes(8).toString("hex");
  const lock = path.join(root, `lock.${random}`);
  const temporary = path.join(root, `.lock.${random}`);
  await writeFile(temporary, JSON.stringify(await ownIdentity()), { mode: 0o600 });
  // Renamed, so that nobody reads half of it.
  await rename(temporary, lock);
  return lock;
}

/**
 * Another living process that has or wants the directory. Whoever takes it has announced itself
 * before it looks here, so of two the later to look sees the other. Removes what dead ones left.
 */
async function findOther(root: string, own: string): Promise<ProcessIdentity | undefined> {
  for (const name of await readdir(root)) {
    const file = path.join(root, name);
    if (!LOCK_PATTERN.test(name) || file === own) continue;
    const text = await readFile(file, "utf8").catch((error: unknown) => {
      if (errorCode(error) !== "ENOENT") throw error;
      return undefined;
    });
    if (text === undefined) continue;
    const owner = parseOwner(text);
    if (owner !== undefined && (await isAlive(owner))) return owner;
    await rm(file, { force: true });
  }
  return undefined;
}

/** A power cut may have left an empty lock, which is nobody's. */
function parseOwner(text: string): ProcessIdentity | undefined {
  try {
    return JSON.parse(text) as ProcessIdentity;
  } catch {
    return undefined;
  }
}
