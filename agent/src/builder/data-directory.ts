import { execFile } from "node:child_process";
import { chmod, mkdir, mkdtemp, readdir, rm } from "node:fs/promises";
import path from "node:path";
import process from "node:process";
import { promisify } from "node:util";
import type { Lease } from "@slipway/proto";
import { takeDataDirectory } from "../process/data-directory.js";
import { errorCode } from "../store/errors.js";
import { checkReach, type BuildUser } from "./process/build-user.js";

const run = promisify(execFile);
/** Builds' users go through, and see nothing. */
const PASS_ONLY = 0o711;

/** A builder's own directory: `lock.*`, `groups/`, `histories/` and `work/`. */
export class DataDirectory {
  readonly #root: string;
  /** Lets another builder have the directory. May be called twice. */
  readonly unlock: () => Promise<void>;

  private constructor(root: string, unlock: () => Promise<void>) {
    this.#root = root;
    this.unlock = unlock;
  }

  /**
   * Takes the directory for this builder.
   * @throws DataDirectoryError, or DataDirectoryInUseError if another has it.
   */
  static async lock(directory: string): Promise<DataDirectory> {
    const root = path.resolve(directory);
    return new DataDirectory(root, await takeDataDirectory(root, 0o700));
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

  /**
   * Lets builds' user get to what is made for builds, and to nothing else.
   * @throws Error if a folder above keeps that user away.
   */
  async open(user: BuildUser): Promise<void> {
    await mkdir(this.histories, { recursive: true });
    await chmod(this.histories, 0o700);
    await chmod(this.groups, 0o700);
    await chmod(this.#root, PASS_ONLY);
    await chmod(this.work, PASS_ONLY);
    await checkReach(this.work, user);
  }

  /** A new directory for one attempt to build. */
  async createWork(buildId: string, attempt: number): Promise<string> {
    const name = buildId.replaceAll(/[^A-Za-z0-9-]/g, "_").slice(0, 64);
    return mkdtemp(path.join(this.work, `${name}-${attempt}-`));
  }
}

/** Removes a tree also if it holds directories that its owner may not write to. */
export async function removeTree(directory: string): Promise<void> {
  if (process.getuid?.() === 0) {
    // Follows no link that a build's process, not dead yet, puts in the place of a folder.
    await run("rm", ["-rf", "--", directory]);
    return;
  }
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
