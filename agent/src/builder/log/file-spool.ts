import { randomUUID } from "node:crypto";
import { closeSync, ftruncateSync, openSync, readSync, unlinkSync, writeSync } from "node:fs";
import path from "node:path";
import type { BatchSpool } from "../lease-report.js";

/**
 * Keeps batches in a file that has no name: it is gone with the process, whatever ends that. The
 * file is made with the first batch, and emptied whenever nothing waits.
 */
export class FileSpool implements BatchSpool {
  readonly #directory: string;
  readonly #maxBytes: number;
  #file: number | undefined;
  #entries: { start: number; size: number }[] = [];
  #end = 0;

  constructor(directory: string, maxBytes: number) {
    this.#directory = directory;
    this.#maxBytes = maxBytes;
  }

  get bytes(): number {
    return this.#entries.reduce((sum, { size }) => sum + size, 0);
  }

  get isEmpty(): boolean {
    return this.#entries.length === 0;
  }

  push(bytes: Uint8Array): boolean {
    if (this.#end + bytes.length > this.#maxBytes) return false;
    try {
      this.#file ??= openUnnamed(this.#directory);
      for (let done = 0; done < bytes.length;) {
        done += writeSync(this.#file, bytes, done, bytes.length - done, this.#end + done);
      }
    } catch {
      // A disk that is full, most often: whoever asked says what is missing.
      return false;
    }
    this.#entries.push({ start: this.#end, size: bytes.length });
    this.#end += bytes.length;
    return true;
  }

  shift(): { size: number; bytes: Uint8Array | undefined } | undefined {
    const [entry, ...rest] = this.#entries;
    if (entry === undefined) return undefined;
    this.#entries = rest;
    const bytes = this.#read(entry);
    if (rest.length === 0) this.#empty();
    return { size: entry.size, bytes };
  }

  close(): void {
    this.#entries = [];
    this.#end = 0;
    if (this.#file !== undefined) closeSync(this.#file);
    this.#file = undefined;
  }

  #read({ start, size }: { start: number; size: number }): Uint8Array | undefined {
    const bytes = Buffer.allocUnsafe(size);
    try {
      for (let done = 0; done < size;) {
        const read = readSync(this.#file ?? -1, bytes, done, size - done, start + done);
        if (read === 0) return undefined;
        done += read;
      }
      return bytes;
    } catch {
      return undefined;
    }
  }

  #empty(): void {
    this.#end = 0;
    try {
      if (this.#file !== undefined) ftruncateSync(this.#file);
    } catch {
      // It is written over from the start.
    }
  }
}

function openUnnamed(directory: string): number {
  const name = path.join(directory, `log-${randomUUID()}`);
  const file = openSync(name, "wx+", 0o600);
  unlinkSync(name);
  return file;
}
