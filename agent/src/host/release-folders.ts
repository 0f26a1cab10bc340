import { randomUUID } from "node:crypto";
import {
  chmod,
  constants,
  copyFile,
  link,
  lstat,
  mkdir,
  open,
  readdir,
  rename,
  rm,
  symlink,
} from "node:fs/promises";
import path from "node:path";
import { ArtifactFormat, type Release } from "@slipway/proto";
import { errorCode } from "../store/errors.js";
import { syncDirectory } from "../store/files.js";
import { releaseFolderName } from "./release-key.js";
import { unpack, UnpackError } from "./unpack.js";

const TEMPORARY = ".tmp-";

/**
 * An application's release folders and the `current` link to one of them. A folder is there whole
 * or not at all.
 */
export class ReleaseFolders {
  /** Where they all are. */
  readonly root: string;
  readonly #link: string;

  /** @param folder the application's. */
  constructor(folder: string) {
    this.root = path.join(folder, "releases");
    this.#link = path.join(folder, "current");
  }

  /** Makes the folder for releases, and removes what an earlier agent left half-done. */
  async prepare(): Promise<void> {
    await mkdir(this.root, { recursive: true, mode: 0o755 });
    for (const name of await readdir(this.root)) {
      if (name.startsWith(TEMPORARY)) await remove(path.join(this.root, name));
    }
  }

  path(name: string): string {
    return path.join(this.root, name);
  }

  async has(name: string): Promise<boolean> {
    try {
      return (await lstat(this.path(name))).isDirectory();
    } catch (error) {
      if (errorCode(error) === "ENOENT") return false;
      throw error;
    }
  }

  /**
   * Makes the release's folder from its artifact's file; the one that is there stays.
   * @throws UnpackError if the artifact is not what the run spec says; system errors; the signal's
   * reason.
   */
  async create(release: Release, artifact: string, signal: AbortSignal): Promise<void> {
    const name = releaseFolderName(release);
    if (await this.has(name)) return;
    const temporary = path.join(this.root, `${TEMPORARY}${randomUUID()}`);
    await mkdir(temporary, { mode: 0o755 });
    try {
      await fill(release, artifact, temporary, signal);
      await syncTree(temporary, signal);
      await rename(temporary, this.path(name));
      await syncDirectory(this.root);
    } catch (error) {
      await remove(temporary);
      throw error;
    }
  }

  /** Lets `current` lead to the release, in one step. */
  async switchTo(name: string): Promise<void> {
    const temporary = `${this.#link}.${randomUUID()}`;
    await symlink(path.join("releases", name), temporary);
    try {
      await rename(temporary, this.#link);
    } catch (error) {
      await rm(temporary, { force: true });
      throw error;
    }
    await syncDirectory(path.dirname(this.#link));
  }

  /** Removes the `current` link. */
  async switchToNone(): Promise<void> {
    await rm(this.#link, { force: true });
  }

  /** Removes all folders but these. */
  async prune(keep: ReadonlySet<string>): Promise<void> {
    for (const name of await readdir(this.root)) {
      if (keep.has(name) || name.startsWith(TEMPORARY)) continue;
      const doomed = path.join(this.root, `${TEMPORARY}${randomUUID()}`);
      await rename(this.path(name), doomed);
      await remove(doomed);
    }
  }
}

async function fill(
  release: Release,
  artifact: string,
  folder: string,
  signal: AbortSignal,
): Promise<void> {
  const run = release.run;
  switch (run?.artifactFormat) {
    case ArtifactFormat.TAR:
      return unpack(artifact, folder, { signal });
    case ArtifactFormat.EXECUTABLE:
      return placeExecutable(artifact, folder, run.executableName);
    default:
      throw new UnpackError("the run spec does not say what the artifact is");
  }
}

async function placeExecutable(artifact: string, folder: string, name: string): Promise<void> {
  if (name === "" || name === "." || name === ".." || /[/\0]/.test(name)) {
    throw new UnpackError(`${JSON.stringify(name)} is not a file name`);
  }
  const target = path.join(folder, name);
  try {
    await link(artifact, target);
  } catch (error) {
    // Another file system, or one without links, or too many of them.
    const { code } = error as NodeJS.ErrnoException;
    if (!["EXDEV", "EPERM", "EMLINK", "ENOTSUP"].includes(code ?? "")) throw error;
    await copyFile(artifact, target, constants.COPYFILE_EXCL | constants.COPYFILE_FICLONE);
  }
  await chmod(target, 0o555);
}

/** A folder that is there after a power loss must have its files' content too. */
async function syncTree(folder: string, signal: AbortSignal): Promise<void> {
  for (const entry of await readdir(folder, { withFileTypes: true })) {
    signal.throwIfAborted();
    const file = path.join(folder, entry.name);
    if (entry.isDirectory()) await syncTree(file, signal);
    else if (entry.isFile()) await syncFile(file);
  }
  await syncDirectory(folder);
}

async function syncFile(file: string): Promise<void> {
  const handle = await open(file, "r");
  try {
    await handle.sync();
  } finally {
    await handle.close();
  }
}

/** Also removes folders that the archive made read-only. */
async function remove(folder: string): Promise<void> {
  try {
    await rm(folder, { recursive: true, force: true, maxRetries: 3 });
  } catch (error) {
    if (!["EACCES", "EPERM", "ENOTEMPTY"].includes((error as NodeJS.ErrnoException).code ?? ""))
      throw error;
    await makeWritable(folder);
    await rm(folder, { recursive: true, force: true });
  }
}

async function makeWritable(folder: string): Promise<void> {
  await chmod(folder, 0o755);
  for (const entry of await readdir(folder, { withFileTypes: true })) {
    if (entry.isDirectory()) await makeWritable(path.join(folder, entry.name));
  }
}
