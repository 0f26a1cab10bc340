import { createHash } from "node:crypto";
import { mkdir, readdir, rm, stat, utimes } from "node:fs/promises";
import path from "node:path";
import { errorCode } from "../../store/errors.js";
import { type Git, GitError } from "./git.js";
import { localServer } from "./repository-url.js";

/** A repository's history that was not asked for this long is removed. */
const UNUSED_MS = 14 * 24 * 60 * 60 * 1000;

const REMOTE = "source";

export interface TrunkQuestion {
  repository: string;
  trunk: string;
  commit: string;
  signal: AbortSignal;
}

/** Bare repositories, one a remote, that hold the commits of trunks but no files. */
export class TrunkHistories {
  readonly #git: Git;
  readonly #directory: string;
  /** Per repository, the last in the line of those who wait for it. */
  readonly #locks = new Map<string, Promise<unknown>>();

  constructor(git: Git, directory: string) {
    this.#git = git;
    this.#directory = directory;
  }

  /** Removes what has not been used for two weeks. */
  async removeUnused(): Promise<void> {
    await mkdir(this.#directory, { recursive: true });
    for (const name of await readdir(this.#directory)) {
      const folder = path.join(this.#directory, name);
      const { mtimeMs } = await stat(folder);
      if (Date.now() - mtimeMs > UNUSED_MS) await rm(folder, { recursive: true, force: true });
    }
  }

  /**
   * Whether the trunk, as it is now, reaches the commit. Throws GitError, or the signal's reason.
   * @param retry runs the fetch, more than once if it fails for the moment.
   */
  async reaches(
    question: TrunkQuestion,
    retry: (action: () => Promise<void>) => Promise<void>,
  ): Promise<boolean> {
    const { repository, commit } = question;
    const key = createHash("sha256").update(`${commit.length} ${repository}`).digest("hex");
    return this.#alone(key.slice(0, 32), async (folder) => {
      question.signal.throwIfAborted();
      let reached = false;
      await retry(async () => {
        const known = await exists(folder);
        try {
          await this.#update(folder, question);
          reached = await this.#isAncestor(folder, question);
        } catch (error) {
          // What a killed git left behind may be in the way: the next try starts afresh.
          const trouble = error instanceof GitError ? error.trouble : undefined;
          if (trouble === "transient" && known) await rm(folder, { recursive: true, force: true });
          throw error;
        }
      });
      return reached;
    });
  }

  async #update(
    folder: string,
    { repository, trunk, commit, signal }: TrunkQuestion,
  ): Promise<void> {
    const run = { cwd: folder, signal };
    await mkdir(folder, { recursive: true });
    const format = commit.length === 64 ? ["--object-format=sha256"] : [];
    await this.#git.run(["init", "--quiet", "--bare", ...format], run);
    const refspec = `+refs/heads/${trunk}:refs/heads/${trunk}`;
    // Servers that cannot leave the files out send them with a warning.
    const how = ["--quiet", "--no-tags", "--filter=tree:0", ...localServer(repository)];
    // git filters only what it fetches from a remote with a name.
    const settings = [
      "-c",
      `remote.${REMOTE}.url=${repository}`,
      "-c",
      "fetch.writeCommitGraph=true",
    ];
    await this.#git.run([...settings, "fetch", ...how, "--", REMOTE, refspec], run);
    const now = new Date();
    await utimes(folder, now, now);
  }

  async #isAncestor(folder: string, { trunk, commit, signal }: TrunkQuestion): Promise<boolean> {
    const run = { cwd: folder, signal, offline: true };
    const head = `refs/heads/${trunk}`;
    try {
      await this.#git.run(["merge-base", "--is-ancestor", commit, head], run);
      return true;
    } catch (error) {
      if (!(error instanceof GitError)) throw error;
      if (error.exitCode === 1) return false;
      if (error.exitCode !== 128) throw error;
    }
    // The commit is not here. With the whole trunk here, it does not reach it.
    await this.#git.run(["rev-list", "--quiet", head], run).catch((error: unknown) => {
      if (!(error instanceof GitError)) throw error;
      throw new GitError(
        `the builder's copy of the history is damaged: ${error.message}`,
        "transient",
      );
    });
    return false;
  }

  async #alone<T>(key: string, action: (folder: string) => Promise<T>): Promise<T> {
    const before = this.#locks.get(key) ?? Promise.resolve();
    const mine = before.then(() => action(path.join(this.#directory, key)));
    const done = mine.then(
      () => undefined,
      () => undefined,
    );
    this.#locks.set(key, done);
    try {
      return await mine;
    } finally {
      if (this.#locks.get(key) === done) this.#locks.delete(key);
    }
  }
}

async function exists(folder: string): Promise<boolean> {
  try {
    await stat(folder);
    return true;
  } catch (error) {
    if (errorCode(error) === "ENOENT") return false;
    throw error;
  }
}
