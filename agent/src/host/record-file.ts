import { rm } from "node:fs/promises";
import { writeAtomicallySync } from "../atomic-file.js";
import type { Logger } from "../log.js";
import { parseIdentity } from "../process/identity.js";
import { readIfThere } from "../store/files.js";
import type { ProcessRecord } from "./release-process.js";

/** Where the running process of an application is written down for the next agent. */
export class RecordFile {
  readonly #file: string;
  readonly #log: Logger;

  constructor(file: string, log: Logger) {
    this.#file = file;
    this.#log = log;
  }

  /** Without it, on a full disk, the release runs all the same: the next agent starts it anew. */
  write(record: ProcessRecord): void {
    try {
      writeAtomicallySync(this.#file, JSON.stringify(record));
    } catch (err) {
      this.#log.error({ err, record }, "the running process cannot be written down");
    }
  }

  async read(): Promise<ProcessRecord | undefined> {
    const content = (await readIfThere(this.#file))?.toString();
    if (content === undefined) return undefined;
    const record = parseRecord(content);
    if (record === undefined) this.#log.error({ content }, "process record is not readable");
    return record;
  }

  async remove(): Promise<void> {
    await rm(this.#file, { force: true });
  }
}

function parseRecord(content: string): ProcessRecord | undefined {
  const identity = parseIdentity(content);
  if (identity === undefined) return undefined;
  const { release } = JSON.parse(content) as { release?: unknown };
  return typeof release === "string" ? { ...identity, release } : undefined;
}
