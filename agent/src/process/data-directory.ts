import { mkdir, stat } from "node:fs/promises";
import path from "node:path";
import { errorCode } from "../store/errors.js";
import { DataDirectoryInUseError, lockDataDirectory } from "./data-directory-lock.js";

/** The data directory cannot be made, or written to. */
export class DataDirectoryError extends Error {
  override readonly name = "DataDirectoryError";
}

/**
 * Makes the agent's data directory if there is none, and takes it for this process; the answer gives it
 * back. @throws DataDirectoryError, DataDirectoryInUseError
 */
export async function takeDataDirectory(
  directory: string,
  mode = 0o777,
): Promise<() => Promise<void>> {
  try {
    await makeDirectory(directory, mode);
    return await lockDataDirectory(directory);
  } catch (error) {
    if (error instanceof DataDirectoryInUseError) throw error;
    const reason = errorCode(error) ?? String(error);
    throw new DataDirectoryError(
      `--data-dir ${directory} cannot be ${reason === "ENOENT" ? "made" : "made or written"} ` +
        `(${reason}): name a directory that this agent's user may write to`,
      { cause: error },
    );
  }
}

/**
 * Makes a directory and those above it. Node's own way never ends where a file system says that a
 * directory which is there is not, as that of /proc does, and cannot be stopped.
 * @throws what making one of them throws
 */
export async function makeDirectory(directory: string, mode = 0o777): Promise<void> {
  const missing: string[] = [];
  for (let at = path.resolve(directory); !(await makeOne(at, mode)); at = path.dirname(at)) {
    // The root is always there.
    missing.push(at);
  }
  for (const one of missing.toReversed()) {
    // Only once: what is still said not to have a place is not made by trying again.
    if (!(await makeOne(one, mode))) throw new NoPlaceError(one);
  }
}

/** False if what is above it is not there. */
async function makeOne(directory: string, mode: number): Promise<boolean> {
  try {
    await mkdir(directory, { mode });
    return true;
  } catch (error) {
    const code = errorCode(error);
    if (code === "EEXIST") return true;
    if (code === "ENOENT") {
      if (directory === path.dirname(directory)) throw error;
      return false;
    }
    // Where nothing may be made something may be all the same.
    const there = await stat(directory).catch(() => undefined);
    if (there?.isDirectory() === true) return true;
    throw error;
  }
}

class NoPlaceError extends Error {
  readonly code = "ENOENT";

  constructor(directory: string) {
    super(`ENOENT: ${directory} cannot be made where it is`);
  }
}
