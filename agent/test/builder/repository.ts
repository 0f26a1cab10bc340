import { execFile } from "node:child_process";
import { mkdir, rm, writeFile } from "node:fs/promises";
import path from "node:path";
import process from "node:process";
import { promisify } from "node:util";

const run = promisify(execFile);

/** A git repository made for a test. */
export interface Repository {
  directory: string;
  git: (...parameters: string[]) => Promise<string>;
  /** Commits files (contents by path) on the current branch. Returns the SHA. */
  commit: (files: Record<string, string>, message?: string) => Promise<string>;
}

/** git without any configuration but this. */
export const GIT_ENVIRONMENT = {
  PATH: process.env["PATH"],
  HOME: "/nonexistent",
  GIT_CONFIG_NOSYSTEM: "1",
  GIT_AUTHOR_NAME: "a",
  GIT_AUTHOR_EMAIL: "a@example.com",
  GIT_COMMITTER_NAME: "a",
  GIT_COMMITTER_EMAIL: "a@example.com",
};

export async function createRepository(directory: string): Promise<Repository> {
  await mkdir(directory, { recursive: true });
  const git = async (...parameters: string[]): Promise<string> => {
    const options = { cwd: directory, env: GIT_ENVIRONMENT };
    return (await run("git", parameters, options)).stdout.trim();
  };
  await git("init", "--quiet", "--initial-branch=main");
  const commit = async (files: Record<string, string>, message = "change"): Promise<string> => {
    for (const [name, content] of Object.entries(files)) {
      const file = path.join(directory, name);
      await mkdir(path.dirname(file), { recursive: true });
      await writeFile(file, content, { mode: 0o755 });
    }
    await git("add", "--all");
    await git("commit", "--quiet", "--allow-empty", "--message", message);
    return git("rev-parse", "HEAD");
  };
  return { directory, git, commit };
}

export async function remove(directory: string): Promise<void> {
  await rm(directory, { recursive: true, force: true, maxRetries: 3 });
}
