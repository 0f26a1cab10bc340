import { randomBytes } from "node:crypto";
import {
  chmod,
  link,
  mkdir,
  mkdtemp,
  readFile,
  readdir,
  rename,
  rm,
  writeFile,
} from "node:fs/promises";
import path from "node:path";
import type { Lease } from "@slipway/proto";
import { isAlive, ownIdentity, type ProcessIdentity } from "../process/identity.js";
import { errorCode } from "../store/errors.js";

/** Another builder uses the data directory. */
export class DataDirectoryInUseError extends Error {
  override readonly name = "DataDirectoryInUseError";
}

/** A builder's own directory: `lock`, `groups/`, `histories/` and `work/`. */
export class DataDirectory {
  readonly #root: string;
  readonly #lockText: string;

  private constructor(root: string, lockText: string) {
    this.#root = root;
    this.#lockText = lockText;
  }

  /** Takes the directory for this builder. Throws DataDirectoryInUseError if another has it. */
  static async lock(directory: string): Promise<DataDirectory> {
    const root = path.resolve(directory);
    await mkdir(root, { recursive: true, mode: 0o700 });
    const random = randomBytes(8).toString("hex");
    const text = JSON.stringify({ ...(await ownIdentity()), random });
    const lock = path.join(root, "lock");
    const own = `${lock}.${random}`;
    await writeFile(own, text, { mode: 0o600 });
    try {
      // Linked, not written, so that nobody ever reads half of it.
      while (!(await linkNew(own, lock))) await removeStale(lock, root, random);
    } finally {
      await rm(own, { force: true });
    }
    return new DataDirectory(root, text);
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
    const lock = path.join(this.#root, "lock");
    const text = await readFile(lock, "utf8").catch(() => "");
    if (text === this.#lockText) await rm(lock, { force: true });
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

async function linkNew(from: string, to: string): Promise<boolean> {
  try {
    await link(from, to);
    return true;
  } catch (error) {
    if (errorCode(error) !== "EEXIST") throw error;
    return false;
  }
}

/** A power cut may have left an empty lock, which is nobody's. */
function parseOwner(text: string): ProcessIdentity | undefined {
  try {
    return JSON.parse(text) as ProcessIdentity;
  } catch {
    return undefined;
  }
}

/** Removes the lock of a process that has ended; throws if it has not. */
async function removeStale(lock: string, root: string, random: string): Promise<void> {
  const text = await readFile(lock, "utf8").catch(() => undefined);
  if (text === undefined) return;
  const owner = parseOwner(text);
  if (owner !== undefined && (await isAlive(owner))) {
    throw new DataDirectoryInUseError(
      `the data directory ${root} is in use by the builder with process ${owner.pid}; ` +
        "give each builder a directory of its own",
    );
  }
  // Moved first: if another starter was faster, this is its lock, and goes back.
  const moved = `${lock}.stale.${random}`;
  await rename(lock, moved).catch((error: unknown) => {
    if (errorCode(error) !== "ENOENT") throw error;
  });
  const movedText = await readFile(moved, "utf8").catch(() => undefined);
  if (movedText !== undefined && movedText !== text) await linkNew(moved, lock);
  await rm(moved, { force: true });
}
