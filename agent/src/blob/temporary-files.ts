import { createHash, randomBytes } from "node:crypto";
import { readdir, rename, rm, stat, utimes } from "node:fs/promises";
import { hostname } from "node:os";
import path from "node:path";
import { identityTag, isTagAlive, ownIdentity } from "../process/identity.js";
import { errorCode } from "../store/errors.js";

const STALE_MS = 24 * 60 * 60 * 1000;
/** Another machine's process cannot be asked whether it lives; its file must have been still. */
const ABANDONED_MS = 10 * 60 * 1000;

/** `HEX.HOST.PID.START.RANDOM` (host and start time hashed): whose file it is, so that an abandoned one can be told. */
const NAME_PATTERN = /^[0-9a-f]{64}\.([0-9a-f]{16})\.(\d+\.[0-9a-f]{16})\.[0-9a-f]{16}$/;

/**
 * Names under a store's `tmp/`. A writer has a file of its own, so nobody else's commit can ever
 * move it; what a writer left behind is taken over by renaming it, which only one can do.
 */
export class TemporaryFiles {
  readonly #directory: string;
  readonly #owner: string;
  /** In use by this process, whichever of its stores opened them. */
  static readonly #open = new Set<string>();

  private constructor(directory: string, owner: string) {
    this.#directory = directory;
    this.#owner = owner;
  }

  static async open(directory: string): Promise<TemporaryFiles> {
    const files = new TemporaryFiles(directory, identityTag(await ownIdentity()));
    await files.#removeStale();
    return files;
  }

  /** A path for a new file. To be released. */
  create(hex: string): string {
    const random = randomBytes(8).toString("hex");
    const name = `${hex}.${short(hostname())}.${this.#owner}.${random}`;
    TemporaryFiles.#open.add(name);
    return path.join(this.#directory, name);
  }

  /** The largest file that a former writer of this blob left behind, made one's own. */
  async adopt(hex: string): Promise<string | undefined> {
    const names = (await readdir(this.#directory)).filter((name) => name.startsWith(`${hex}.`));
    const found: { file: string; size: number }[] = [];
    for (const name of names) {
      const file = path.join(this.#directory, name);
      const info = await stat(file).catch(ignoreMissing);
      if (info !== undefined && (await this.#abandoned(name, info.mtimeMs))) {
        found.push({ file, size: info.size });
      }
    }
    found.sort((a, b) => b.size - a.size);
    for (const { file } of found) {
      const own = this.create(hex);
      try {
        await rename(file, own);
        await utimes(own, new Date(), new Date());
        return own;
      } catch (error) {
        this.release(own);
        ignoreMissing(error);
      }
    }
    return undefined;
  }

  /** Says that this process does not use the file any more; a later put may take it over. */
  release(file: string): void {
    TemporaryFiles.#open.delete(path.basename(file));
  }

  async #abandoned(name: string, mtimeMs: number): Promise<boolean> {
    const [, host, owner = ""] = NAME_PATTERN.exec(name) ?? [];
    if (host !== short(hostname())) return Date.now() - mtimeMs > ABANDONED_MS;
    if (TemporaryFiles.#open.has(name)) return false;
    return owner === this.#owner || !(await isTagAlive(owner));
  }

  async #removeStale(): Promise<void> {
    for (const name of await readdir(this.#directory)) {
      const file = path.join(this.#directory, name);
      const info = await stat(file).catch(ignoreMissing);
      if (info !== undefined && Date.now() - info.mtimeMs > STALE_MS) {
        await rm(file, { force: true, recursive: true });
      }
    }
  }
}

const short = (text: string): string =>
  createHash("sha256").update(text).digest("hex").slice(0, 16);

function ignoreMissing(error: unknown): undefined {
  if (errorCode(error) !== "ENOENT") throw error;
  return undefined;
}
