import { randomBytes } from "node:crypto";
import { constants } from "node:fs";
import { access, chmod, copyFile, rename, rm } from "node:fs/promises";
import path from "node:path";
import { statIfThere } from "../store/files.js";
import type { ArtifactStore } from "../store/types.js";

/** The store's own copy is read-only. */
const MODE = 0o644;

/** An artifact can't be put where it was to go; it stays in the store. The cause says why. */
export class SaveFileError extends Error {
  override readonly name = "SaveFileError";
}

/**
 * Refuses what could never be written to, before anything is fetched for it: only a plain file may
 * be replaced. Throws SaveFileError.
 */
export async function checkTarget(to: string): Promise<void> {
  try {
    if (to === "" || to.endsWith(path.sep)) throw new Error("it is not the path of a file");
    const there = await statIfThere(to);
    if (there?.isFile() === false) {
      throw new Error(`it is ${there.isDirectory() ? "a directory" : "no plain file"}`);
    }
    await access(path.dirname(to), constants.W_OK);
  } catch (cause) {
    throw saveFileError(to, cause);
  }
}

/**
 * Puts a complete artifact at this path, whole or not at all; an older file there is replaced. Costs
 * no room where the file system can share blocks. Throws SaveFileError.
 */
export async function saveFile(
  store: Pick<ArtifactStore, "path">,
  digest: string,
  to: string,
): Promise<void> {
  const temporary = `${to}.${randomBytes(6).toString("hex")}.part`;
  try {
    const from = await store.path(digest);
    if (from === undefined) throw new Error("it is not in the store any more");
    await copyFile(from, temporary, constants.COPYFILE_FICLONE | constants.COPYFILE_EXCL);
    await chmod(temporary, MODE);
    await checkTarget(to);
    await rename(temporary, to);
  } catch (cause) {
    await rm(temporary, { force: true });
    throw saveFileError(to, cause);
  }
}

function saveFileError(to: string, cause: unknown): SaveFileError {
  if (cause instanceof SaveFileError) return cause;
  const why = cause instanceof Error ? cause.message : String(cause);
  return new SaveFileError(`no artifact can be put at ${JSON.stringify(to)}: ${why}`, { cause });
}
