import { chmod, lstat, mkdir, mkdtemp, rename, rm } from "node:fs/promises";
import { homedir, tmpdir } from "node:os";
import path from "node:path";

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
 * Finds what `name` names in a cache folder, or makes it there: `make` fills a temporary folder
 * beside it, which then takes its name in one step, so that two at once do no harm. What `accept`
 * refuses is passed over, and the next folder is tried.
 * @returns the path, absolute.
 * @throws Error with the reason of each folder when none can be used; what `make` throws.
 */
export async function cached(
  name: string,
  make: (folder: string) => Promise<void>,
  accept: (folder: string) => Promise<void>,
): Promise<string> {
  const reasons: string[] = [];
  for (const folder of cacheFolders()) {
    const target = path.join(folder, name);
    try {
      await claimFolder(folder);
      if (await exists(target)) {
        await accept(target);
        return target;
      }
    } catch (error) {
      reasons.push(`${folder}: ${(error as Error).message}`);
      continue;
    }
    let temporary;
    try {
      temporary = await mkdtemp(path.join(folder, ".new-"));
    } catch (error) {
      reasons.push(`${folder}: ${(error as Error).message}`);
      continue;
    }
    try {
      await make(temporary);
      await chmod(temporary, 0o755);
      await moveInto(temporary, target);
    } finally {
      await rm(temporary, { recursive: true, force: true });
    }
    try {
      await accept(target);
      return target;
    } catch (error) {
      reasons.push(`${target}: ${(error as Error).message}`);
    }
  }
  throw new Error(`no cache folder can be used:\n  ${reasons.join("\n  ")}`);
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
