import { mkdtemp, realpath, rm, stat } from "node:fs/promises";
import { tmpdir } from "node:os";
import path from "node:path";
import { guard } from "./guardian.js";

export interface TemporaryDirectory {
  /** Absolute, without symbolic links. */
  path: string;
  /** Leave it behind after all; not the processes. */
  keep(): void;
  /** May be called twice. */
  remove(): Promise<void>;
}

/**
 * A directory that only this user can enter, and that is gone after us in any case, with every
 * process that works in it.
 * @param options.keep - Leave the directory behind after all; not the processes.
 */
export async function temporaryDirectory(
  prefix: string,
  options: { keep?: boolean } = {},
): Promise<TemporaryDirectory> {
  let { keep = false } = options;
  const directory = await mkdtemp(path.join(await parentDirectory(), prefix));
  guard().directory(directory, { keep });
  return {
    path: directory,
    keep() {
      keep = true;
      guard().directory(directory, { keep });
    },
    async remove() {
      if (keep) return;
      await rm(directory, { recursive: true, force: true, maxRetries: 10, retryDelay: 100 });
      guard().forgetDirectory(directory);
    },
  };
}

/** The system's; but root's servers run as another user, to whom root's own may be closed. */
async function parentDirectory(): Promise<string> {
  const usual = await realpath(tmpdir());
  if (process.getuid?.() !== 0) return usual;
  return (await firstOpenToAll([usual, "/tmp", "/var/tmp"])) ?? usual;
}

/** The first of the directories that every user can get to, without links. */
export async function firstOpenToAll(directories: readonly string[]): Promise<string | undefined> {
  for (const directory of directories) {
    try {
      const real = await realpath(directory);
      if (await isOpenToAll(real)) return real;
    } catch {
      // Not there.
    }
  }
  return undefined;
}

async function isOpenToAll(directory: string): Promise<boolean> {
  const { mode } = await stat(directory);
  const parent = path.dirname(directory);
  return (mode & 0o001) !== 0 && (parent === directory || isOpenToAll(parent));
}
