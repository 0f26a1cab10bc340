import { chmod, lstat, mkdir, mkdtemp, realpath, rename, rm } from "node:fs/promises";
import { homedir, tmpdir } from "node:os";
import path from "node:path";
import { guard } from "../processes/guardian.js";

/**
 * Where fetched programs are kept between runs, best first: `$XDG_CACHE_HOME/slipway`,
 * `~/.cache/slipway`, `/var/cache/slipway` for root, else a folder of this user's in the temporary
 * directory.
 */
export function cacheFolders(env: NodeJS.ProcessEnv = process.env): string[] {
  const uid = process.getuid?.() ?? 0;
  const folders = [path.join(tmpdir(), `slipway-cache-${uid}`)];
  if (uid === 0) folders.unshift("/var/cache/slipway");
  const home = env["HOME"] === undefined ? "" : homedir();
  if (path.isAbsolute(home)) folders.unshift(path.join(home, ".cache", "slipway"));
  const xdg = env["XDG_CACHE_HOME"] ?? "";
  if (path.isAbsolute(xdg)) folders.unshift(path.join(xdg, "slipway"));
  return folders;
}

/**
 * Finds what `name` names in a cache folder, or makes it in the best one that can be written to:
 * `make` fills a temporary folder beside it, which then takes its name in one step, so that two at
 * once do no harm. What `accept` refuses is passed over.
 * @returns the path, absolute.
 * @throws Error with the reason of each folder when none can be used; what `make` throws.
 */
export async function cached(
  name: string,
  make: (folder: string) => Promise<void>,
  accept: (folder: string) => Promise<void>,
): Promise<string> {
  const targets = cacheFolders().map((folder) => path.join(folder, name));
  const reasons = new Map<string, string>();
  const refuse = (target: string, error: unknown): void =>
    void reasons.set(target, (error as Error).message);
  for (const target of targets) {
    try {
      if (!(await exists(target))) continue;
      await claimFolder(path.dirname(target));
      await accept(target);
      return target;
    } catch (error) {
      refuse(target, error);
    }
  }
  for (const target of targets.filter((each) => !reasons.has(each))) {
    let temporary;
    try {
      await claimFolder(path.dirname(target));
      temporary = await mkdtemp(path.join(await realpath(path.dirname(target)), ".new-"));
    } catch (error) {
      refuse(target, error);
      continue;
    }
    try {
      guard().directory(temporary, { keep: false });
      await make(temporary);
      await chmod(temporary, 0o755);
      await moveInto(temporary, target);
    } finally {
      await rm(temporary, { recursive: true, force: true });
      guard().forgetDirectory(temporary);
    }
    try {
      await accept(target);
      return target;
    } catch (error) {
      refuse(target, error);
      await rm(target, { recursive: true, force: true });
    }
  }
  const said = [...reasons].map(([target, reason]) => `${target}: ${reason}`);
  throw new Error(`no cache folder can be used:\n  ${said.join("\n  ")}`);
}

/** Makes the folder, and refuses one that another user could have put there. */
async function claimFolder(folder: string): Promise<void> {
  await mkdir(folder, { recursive: true, mode: 0o755 });
  const found = await lstat(folder);
  if (!found.isDirectory()) throw new Error("not a directory");
  const uid = process.getuid?.();
  if (uid !== undefined && (found.uid !== uid || (found.mode & 0o022) !== 0)) {
    throw new Error("belongs to, or can be written by, another user");
  }
}

async function moveInto(temporary: string, target: string): Promise<void> {
  try {
    await rename(temporary, target);
  } catch (error) {
    // Somebody else was first; theirs is as good.
    const { code } = error as NodeJS.ErrnoException;
    if (code !== "ENOTEMPTY" && code !== "EEXIST") throw error;
  }
}

async function exists(file: string): Promise<boolean> {
  return lstat(file).then(
    () => true,
    () => false,
  );
}
