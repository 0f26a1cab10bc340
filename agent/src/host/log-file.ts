import { mkdir, open, readdir, rename, rm, stat, truncate } from "node:fs/promises";
import path from "node:path";
import { errorCode } from "../store/errors.js";
import { statIfThere } from "../store/files.js";
import { LogIndex } from "./log-index.js";
import { moveOut } from "./move-log.js";

/** How much of a release's output is kept: this many files of this size. */
const DEFAULT_BOUNDS: LogBounds = { fileBytes: 10 * 1024 * 1024, files: 5 };

interface LogBounds {
  fileBytes: number;
  files: number;
}

/** A file of a log, and where its bytes stand in all that was ever written. */
export interface LogPart {
  file: string;
  start: number;
  end: number;
}

/**
 * An application's output. The release itself appends to the file, so it goes on writing when the
 * agent dies; therefore rotation copies and truncates, and may lose what is written between the two.
 */
export class LogFile {
  readonly path: string;
  readonly #bounds: LogBounds;
  readonly #indexFile: string;
  #index: LogIndex | undefined;
  #turn: Promise<void> = Promise.resolve();

  constructor(folder: string, bounds: LogBounds = DEFAULT_BOUNDS) {
    this.path = path.join(folder, "current.log");
    this.#indexFile = path.join(folder, "index.json");
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
  rotate(): Promise<boolean> {
    return this.#inTurn(() => this.#rotate());
  }

  /** Hands out the files there are, oldest first; nothing is rotated until `use` is done. */
  withParts<T>(use: (log: { id: string; parts: LogPart[] }) => Promise<T>): Promise<T> {
    return this.#inTurn(async () => {
      const { id, ends } = await this.#readIndex();
      const [start = 0] = ends;
      const parts: LogPart[] = [];
      for (const [at, end] of ends.entries()) {
        const file = this.#rotated(at + 1);
        const size = (await statIfThere(file))?.size ?? 0;
        if (size > 0) parts.unshift({ file, start: end - size, end });
      }
      parts.push({ file: this.path, start, end: start + (await this.size()) });
      return use({ id, parts });
    });
  }

  async #rotate(): Promise<boolean> {
    const size = await this.size();
    if (size <= this.#bounds.fileBytes) return false;
    const index = await this.#readIndex();
    const oldest = this.#bounds.files - 1;
    for (let at = oldest - 1; at >= 1; at -= 1) {
      await rename(this.#rotated(at), this.#rotated(at + 1)).catch(ignoreMissing);
    }
    let bytes = size;
    let failure: unknown;
    try {
      bytes = await this.#keep(size);
    } catch (error) {
      failure = error;
      // Half a copy, on a disk that this very file may have filled.
      await rm(this.#rotated(1), { force: true, recursive: true });
      await truncate(this.path, 0);
    }
    await this.#removeOlderThan(oldest);
    this.#index = index.rotated(bytes, this.#bounds.files);
    await this.#index.write(this.#indexFile);
    if (failure !== undefined) throw failure;
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

  /** One that rotates or reads at a time. */
  #inTurn<T>(task: () => Promise<T>): Promise<T> {
    const result = this.#turn.then(task);
    this.#turn = result.then(
      () => undefined,
      () => undefined,
    );
    return result;
  }

  async #readIndex(): Promise<LogIndex> {
    this.#index ??= await LogIndex.read(this.#indexFile);
    if (this.#index === undefined) {
      const sizes: number[] = [];
      for (let at = 1; at < this.#bounds.files; at += 1) {
        sizes.push((await statIfThere(this.#rotated(at)))?.size ?? 0);
      }
      this.#index = LogIndex.fresh(sizes);
      await this.#index.write(this.#indexFile);
    }
    return this.#index;
  }

  /** Moves what is in the present file, or its end, to the newest of the older ones: see moveOut. */
  #keep(size: number): Promise<number> {
    const { fileBytes } = this.#bounds;
    // A writer that is faster than the rotation must not multiply what is kept.
    const maxBytes = 2 * fileBytes;
    const offset = size <= maxBytes ? 0 : size - fileBytes;
    return moveOut(this.path, this.#rotated(1), { offset, maxBytes });
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

function ignoreMissing(error: unknown): void {
  if ((error as NodeJS.ErrnoException).code !== "ENOENT") throw error;
}
