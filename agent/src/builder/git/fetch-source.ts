import { mkdir } from "node:fs/promises";
import { setTimeout as delay } from "node:timers/promises";
import { BuildFailureReason, type SourceSpec } from "@slipway/proto";
import { backOffMs } from "../../back-off.js";
import { BuildError } from "../failure.js";
import { type Git, GitError } from "./git.js";
import {
  isLocal,
  localServer,
  redactCredentials,
  refuseRepository,
  refuseTrunk,
} from "./repository-url.js";
import type { TrunkHistories } from "./trunk-history.js";

const ATTEMPTS = 3;
const RETRY_MAX_MS = 30_000;

export interface SourceRequest {
  source: SourceSpec;
  /** Full, lower case. */
  commit: string;
  /** The checkout: must not exist yet. */
  directory: string;
  signal: AbortSignal;
}

/**
 * Checks a commit out into a fresh directory, after seeing that the trunk reaches it.
 * @throws BuildError with a reason of the source's, or the signal's reason.
 */
export async function fetchSource(
  git: Git,
  histories: TrunkHistories,
  { source, commit, directory, signal }: SourceRequest,
): Promise<void> {
  const { repository, allowUnmerged } = source;
  const trunk = source.trunk === "" ? "main" : source.trunk;
  const refused = refuseRepository(repository);
  if (refused !== undefined) {
    throw new BuildError(BuildFailureReason.REPOSITORY_UNAVAILABLE, redactCredentials(refused));
  }
  const badTrunk = refuseTrunk(trunk);
  if (badTrunk !== undefined) {
    throw new BuildError(BuildFailureReason.COMMIT_NOT_ON_TRUNK, badTrunk);
  }
  if (!/^([0-9a-f]{40}|[0-9a-f]{64})$/.test(commit)) {
    throw new BuildError(BuildFailureReason.COMMIT_NOT_FOUND, "not a full commit SHA");
  }
  const run = { cwd: directory, signal };
  try {
    await mkdir(directory);
    const format = commit.length === 64 ? ["--object-format=sha256"] : [];
    await git.run(["init", "--quiet", ...format], run);
    await fetchCommit(git, { source, commit, directory, signal }, trunk);
    const type = (await git.run(["cat-file", "-t", commit], run)).trim();
    if (type !== "commit") {
      const message = `${commit} is a ${type}, not a commit`;
      throw new BuildError(BuildFailureReason.COMMIT_NOT_FOUND, message);
    }
    if (!allowUnmerged) {
      await refuseUnmerged(git, histories, { source, commit, directory, signal }, trunk);
    }
    await git.run(["checkout", "--quiet", "--detach", commit], run);
  } catch (error) {
    throw error instanceof GitError ? explain(error, repository, commit, trunk) : error;
  }
}

async function fetchCommit(git: Git, request: SourceRequest, trunk: string): Promise<void> {
  const { source, commit, directory, signal } = request;
  const fetch = (...parameters: string[]): Promise<void> =>
    retry(git, signal, source.repository, async () => {
      await git.run(["fetch", "--quiet", "--no-tags", ...parameters], { cwd: directory, signal });
    });
  try {
    await fetch("--depth=1", ...localServer(source.repository), "--", source.repository, commit);
  } catch (error) {
    if (!(error instanceof GitError) || error.trouble !== "no-sha") throw error;
    // An old or plain server gives branches only: take what may have the commit.
    const heads = source.allowUnmerged ? "*" : trunk;
    await fetch("--", source.repository, `+refs/heads/${heads}:refs/slipway/${heads}`);
    await git
      .run(["cat-file", "-e", commit], { cwd: directory, signal })
      .catch((cause: unknown) => {
        if (!(cause instanceof GitError)) throw cause;
        throw new GitError(`no branch that was looked at has ${commit}`, "no-commit");
      });
  }
}

async function refuseUnmerged(
  git: Git,
  histories: TrunkHistories,
  { source, commit, signal }: SourceRequest,
  trunk: string,
): Promise<void> {
  const { repository } = source;
  const reached = await histories.reaches({ repository, trunk, commit, signal }, (action) =>
    retry(git, signal, repository, action),
  );
  if (reached) return;
  throw new BuildError(
    BuildFailureReason.COMMIT_NOT_ON_TRUNK,
    `the branch "${trunk}" of ${redactCredentials(repository)} does not reach ${commit}: ` +
      "merge it first, or let the application build unmerged commits (allow_unmerged)",
  );
}

/** What fails for the moment is tried a few times. A commit just pushed may take one to show. */
async function retry(
  git: Git,
  signal: AbortSignal,
  repository: string,
  action: () => Promise<void>,
): Promise<void> {
  for (let attempt = 0; ; attempt++) {
    try {
      await action();
      return;
    } catch (error) {
      const trouble = error instanceof GitError ? error.trouble : undefined;
      const again =
        trouble === "transient" ||
        (trouble === "no-commit" && attempt === 0 && !isLocal(repository));
      if (!again || attempt + 1 >= ATTEMPTS) throw error;
      const wait = { baseMs: git.options.retryDelayMs, maxMs: RETRY_MAX_MS };
      await delay(backOffMs(attempt, wait), undefined, { signal }).catch(() =>
        signal.throwIfAborted(),
      );
    }
  }
}

function explain(error: GitError, repository: string, commit: string, trunk: string): BuildError {
  const where = redactCredentials(repository);
  const said = `git said:\n${error.message}`;
  const cause = { cause: error };
  switch (error.trouble) {
    case "no-commit":
    case "no-sha": {
      const message = `${where} has no commit ${commit}, or does not give it out; ${said}`;
      return new BuildError(BuildFailureReason.COMMIT_NOT_FOUND, message, cause);
    }
    case "no-branch": {
      const message = `${where} has no branch "${trunk}", the application's trunk; ${said}`;
      return new BuildError(BuildFailureReason.COMMIT_NOT_ON_TRUNK, message, cause);
    }
    case "disk":
      return new BuildError(
        BuildFailureReason.BUILDER_ERROR,
        `the builder could not fetch ${where}; ${said}`,
        { retry: true, ...cause },
      );
    case "foreign": {
      const message =
        `git refuses ${where} because it belongs to another user than the builder's: ` +
        `run "git config --global --add safe.directory ${where}" as the builder's user, ` +
        `or change the owner; ${said}`;
      return new BuildError(BuildFailureReason.REPOSITORY_UNAVAILABLE, message, cause);
    }
    default: {
      const message = `cannot fetch from ${where}; ${said}`;
      return new BuildError(BuildFailureReason.REPOSITORY_UNAVAILABLE, message, cause);
    }
  }
}
