import { randomBytes } from "node:crypto";
import { constants } from "node:fs";
import { chmod, copyFile, rename, rm } from "node:fs/promises";
import type { ArtifactStore } from "../store/types.js";

/** The store's own copy is read-only. */
const MODE = 0o644;

/**
 * Puts a complete artifact at this path, whole or not at all; an older file there is replaced. Costs
 * no room where the file system can share blocks. Throws what copying throws.
 */
export async function saveFile(
  store: Pick<ArtifactStore, "path">,
  digest: string,
  to: string,
): Promise<void> {
  const from = await store.path(digest);
  if (from === undefined) throw new Error(`${digest} is not in the store any more`);
  const temporary = `${to}.${randomBytes(6).toString("hex")}.part`;
  try {
    await copyFile(from, temporary, constants.COPYFILE_FICLONE | constants.COPYFILE_EXCL);
    await chmod(temporary, MODE);
    await rename(temporary, to);
  } catch (error) {
    await rm(temporary, { force: true });
    throw error;
  }
}
