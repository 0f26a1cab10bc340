import { randomUUID } from "node:crypto";
import { rm } from "node:fs/promises";
import { writeAtomically } from "../atomic-file.js";
import { readIfThere } from "../store/files.js";

/**
 * Where a log's files stand in all that was ever written: positions are counted from its beginning,
 * so that they hold when the files are rotated.
 */
export class LogIndex {
  /** Of this log, and no other that came to be in its place. */
  readonly id: string;
  /** Where the present file begins; then where each older one ends, the youngest first. */
  readonly ends: readonly number[];

  constructor(id: string, ends: readonly number[]) {
    this.id = id;
    this.ends = ends;
  }

  /** For files that were written without an index: sizes of the older ones, the youngest first. */
  static fresh(sizes: readonly number[]): LogIndex {
    const ends = sizes.map((_size, at) => sizes.slice(at).reduce((total, size) => total + size, 0));
    return new LogIndex(randomUUID(), ends.length === 0 ? [0] : ends);
  }

  /** Reads the one that is kept; undefined if there is none, or it was cut off. */
  static async read(file: string): Promise<LogIndex | undefined> {
    const text = (await readIfThere(file))?.toString();
    try {
      const { id, ends } = JSON.parse(text ?? "{}") as { id?: unknown; ends?: unknown };
      if (typeof id !== "string" || !Array.isArray(ends) || ends.length === 0) return undefined;
      return ends.every(Number.isSafeInteger) ? new LogIndex(id, ends as number[]) : undefined;
    } catch {
      return undefined;
    }
  }

  /** The present file's bytes have become those of the youngest of so many older files. */
  rotated(bytes: number, files: number): LogIndex {
    const [start = 0] = this.ends;
    return new LogIndex(this.id, [start + bytes, ...this.ends].slice(0, files));
  }

  /** Keeps it; or nothing, where it cannot be: what is read then counts anew. */
  async write(file: string): Promise<void> {
    try {
      await writeAtomically(file, JSON.stringify({ id: this.id, ends: this.ends }));
    } catch (error) {
      await rm(file, { force: true });
      throw error;
    }
  }
}
