import { execFile } from "node:child_process";
import { cp, readFile, writeFile } from "node:fs/promises";
import path from "node:path";
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";

const run = promisify(execFile);
const SOURCE = fileURLToPath(new URL("../../sample-service/", import.meta.url));

export interface SampleRepository {
  path: string;
  /** The commit that the trunk `main` is at. */
  head: string;
  /** Replaces one asset's data and commits that. Returns the new commit. */
  change(asset: string, message: string): Promise<string>;
  /** Runs git in it; returns what it printed. */
  git(...args: string[]): Promise<string>;
}

/** Makes a git repository with the sample service in it. */
export async function createSampleRepository(
  directory: string,
  message: string,
): Promise<SampleRepository> {
  await cp(SOURCE, directory, { recursive: true });
  const git = async (...args: string[]): Promise<string> => {
    const { stdout } = await run("git", args, { cwd: directory, env: gitEnvironment() });
    return stdout.trim();
  };
  const commit = async (text: string): Promise<string> => {
    await git("add", "--all");
    await git("commit", "--quiet", "--message", text);
    repository.head = await git("rev-parse", "HEAD");
    return repository.head;
  };
  const repository: SampleRepository = {
    path: directory,
    head: "",
    git,
    async change(asset, text) {
      const file = path.join(directory, "assets.json");
      const assets = JSON.parse(await readFile(file, "utf8")) as Record<string, { seed: number }>;
      const found = assets[asset];
      if (found === undefined) throw new Error(`the sample service has no asset ${asset}`);
      found.seed++;
      await writeFile(file, `${JSON.stringify(assets, null, 2)}\n`);
      return commit(text);
    },
  };
  await git("init", "--quiet", "--initial-branch=main");
  // For whoever goes on working in it.
  await git("config", "user.name", "Slipway demo");
  await git("config", "user.email", "demo@slipway.invalid");
  await commit(message);
  return repository;
}

/** Nothing of the user's own git settings: no signing, no hooks. */
export function gitEnvironment(): NodeJS.ProcessEnv {
  return {
    PATH: process.env["PATH"],
    HOME: "/",
    GIT_CONFIG_NOSYSTEM: "1",
    GIT_CONFIG_GLOBAL: "/dev/null",
  };
}
