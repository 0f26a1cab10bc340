import { mkdtemp, realpath, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import path from "node:path";
import { guard } from "./guardian.js";

export interface TemporaryDirectory {
  /** Absolute, without symbolic links. */
  path: string;
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
  { keep = false }: { keep?: boolean } = {},
): Promise<TemporaryDirectory> {
  const directory = await mkdtemp(path.join(await realpath(tmpdir()), prefix));
  guard().directory(directory, { keep });
  return {
    path: directory,
    async remove() {
      if (keep) return;
      await rm(directory, { recursive: true, force: true, maxRetries: 10, retryDelay: 100 });
      guard().forgetDirectory(directory);
    },
  };
}
