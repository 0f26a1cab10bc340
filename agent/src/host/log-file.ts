import { constants } from "node:fs";
import { copyFile, mkdir, open, readdir, rename, rm, stat, truncate } from "node:fs/promises";
import path from "node:path";
import { errorCode } from "../store/errors.js";

/** How much of a release's output is kept: this many files of this size. */
const DEFAULT_BOUNDS: LogBounds = { fileBytes: 10 * 1024 * 1024, files: 5 };

interface LogBounds {
  fileBytes: number;
  files: number;
}

/**
 * An application's output. The release itself appends to the file, so it goes on writing when the
 * agent dies; therefore rotation copies and truncates, and may lose lines written in between.
 */
export class LogFile {
  readonly path: string;
  readonly #bounds: LogBounds;

  constructor(folder: string, bounds: LogBounds = DEFAULT_BOUNDS) {
    this.path = path.join(folder, "current.log");
    this.#bounds = bounds;
  }

  async prepare(): Promise<void> {
    await mkdir(path.dirname(this.path), { recursive: true, mode: 0o700 });
  }

  /** Bytes in the present file; 0 if there is none. */
  async size(): Promise<number> {
    try {
      return (await stat(this.path)).size;
    } catch (error) {
      if (errorCode(error) === "ENOENT") return 0;
      throw error;
    }
  }

  /** Moves the output out of the present file if it has outgrown its bound; true if it did. */
  async rotate(): Promise<boolean> {
    const size = await this.size();
    if (size <= this.#bounds.fileBytes) return false;
    const oldest = this.#bounds.files - 1;
    for (let index = oldest - 1; index >= 1; index -= 1) {
      await rename(this.#rotated(index), this.#rotated(index + 1)).catch(ignoreMissing);
    }
    try {
      await this.#keep(size);
    } catch (error) {
      // Half a copy, on a disk that this very file may have filled.
      await rm(this.#rotated(1), { force: true, recursive: true });
      throw error;
    } finally {
      await truncate(this.path, 0);
      await this.#removeOlderThan(oldest);
    }
    return true;
  }

  /** The last complete part of what was written behind `from`, at most `maxBytes` of it. */
  async tail(from: number, maxBytes: number): Promise<string> {
    const size = await this.size();
    // A rotation since then starts the file anew.
    const start = Math.max(size < from ? 0 : from, size - maxBytes);
    if (size === start) return "";
    const handle = await open(this.path, "r");
    try {
      const { buffer, bytesRead } = await handle.read(
        Buffer.alloc(size - start),
        0,
        size - start,
        start,
      );
      return buffer.toString("utf8", 0, bytesRead).trim();
    } finally {
      await handle.close();
    }
  }

  /** Copies what is in the present file, or its end, to the newest of the older ones. */
  async #keep(size: number): Promise<void> {
    const { fileBytes } = this.#bounds;
    // A writer that is faster than the rotation must not multiply what is kept.
    if (size <= 2 * fileBytes) {
      await copyFile(this.path, this.#rotated(1), constants.COPYFILE_FICLONE);
    } else {
      await copyTail(this.path, this.#rotated(1), size - fileBytes, fileBytes);
    }
  }

  #rotated(index: number): string {
    return `${this.path}.${index}`;
  }

  async #removeOlderThan(oldest: number): Promise<void> {
    const folder = path.dirname(this.path);
    for (const name of await readdir(folder)) {
      const match = /^current\.log\.(\d+)$/.exec(name);
      if (match !== null && Number(match[1]) > oldest) await rm(path.join(folder, name));
    }
  }
}

async function copyTail(from: string, to: string, offset: number, length: number): Promise<void> {
  const source = await open(from, "r");
  try {
    const target = await open(to, "w", 0o600);
    try {
      const buffer = Buffer.alloc(1024 * 1024);
      for (let done = 0; done < length;) {
        const wanted = Math.min(buffer.length, length - done);
        const { bytesRead } = await source.read(buffer, 0, wanted, offset + done);
        if (bytesRead === 0) return;
        await target.write(buffer, 0, bytesRead);
        done += bytesRead;
      }
    } finally {
      await target.close();
    }
  } finally {
    await source.close();
  }
}

function ignoreMissing(error: unknown): void {
  if ((error as NodeJS.ErrnoException).code !== "ENOENT") throw error;
}
