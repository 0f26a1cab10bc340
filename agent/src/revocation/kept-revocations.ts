import path from "node:path";
import { writeAtomically } from "../atomic-file.js";
import { persist } from "../host/persist.js";
import type { Logger } from "../log.js";
import { readIfThere } from "../store/files.js";
import type { RevocationReader } from "./revocation-reader.js";
import type { Revocations } from "./verify-revocations.js";

interface KeptRevocationsOptions {
  dataDir: string;
  reader: RevocationReader;
  log: Logger;
  /** A newer list holds; not called for what load() finds. */
  onChange: (hostIds: ReadonlySet<string>) => void;
}

/**
 * The newest list of revoked hosts that this agent has seen, over restarts. An older one is never
 * taken: whoever holds the bucket cannot let anybody in again.
 */
export class KeptRevocations {
  readonly #options: KeptRevocationsOptions;
  readonly #file: string;
  readonly #controller = new AbortController();
  #held: Revocations | undefined;
  #written: Revocations | undefined;
  #writing: Promise<void> | undefined;

  constructor(options: KeptRevocationsOptions) {
    this.#options = options;
    this.#file = path.join(options.dataDir, "revocations");
  }

  /** 0 while there is none. */
  get version(): number {
    return this.#held?.version ?? 0;
  }

  get hostIds(): ReadonlySet<string> {
    return this.#held?.hostIds ?? new Set();
  }

  /** Reads what an earlier agent kept, if this one would take it. */
  async load(): Promise<void> {
    const kept = await readIfThere(this.#file);
    if (kept === undefined) return;
    this.#held = this.#options.reader.read(kept, this.#file);
    this.#written = this.#held;
  }

  /** Takes a list if it is newer. It holds at once, and is written down as soon as the disk takes it. */
  take(list: Revocations): void {
    if (list.version <= this.version || this.#controller.signal.aborted) return;
    const { version, hostIds, leftOut } = list;
    this.#held = list;
    this.#options.log.info({ version, hosts: hostIds.size }, "list of revoked hosts taken");
    if (leftOut > 0) {
      this.#options.log.error(
        { version, hosts: hostIds.size, leftOut },
        "more hosts are revoked than are looked out for: the first ones are left out",
      );
    }
    this.#options.onChange(hostIds);
    this.#writing ??= this.#write().finally(() => {
      this.#writing = undefined;
    });
  }

  /** Once what is being written is; one that cannot be is not tried again. */
  async stop(): Promise<void> {
    this.#controller.abort();
    await this.#writing;
  }

  async #write(): Promise<void> {
    const { signal } = this.#controller;
    const { log } = this.#options;
    while (this.#held !== undefined && this.#held !== this.#written) {
      const attempt = async (): Promise<void> => {
        // The newest, also if it came while another one could not be written.
        const list = this.#held;
        if (list !== undefined) await writeAtomically(this.#file, list.signed);
        this.#written = list;
      };
      try {
        await persist(attempt, signal, (err, retryInMs) =>
          log.error({ err, retryInMs }, "list of revoked hosts cannot be kept"),
        );
      } catch (error) {
        log.error({ err: error, version: this.version }, "list of revoked hosts was not kept");
        return;
      }
    }
  }
}
