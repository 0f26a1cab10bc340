import path from "node:path";
import { KeptFile } from "../kept-file.js";
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
  readonly #path: string;
  readonly #file: KeptFile;
  #held: Revocations | undefined;
  #stopped = false;

  constructor(options: KeptRevocationsOptions) {
    this.#options = options;
    this.#path = path.join(options.dataDir, "revocations");
    const { log } = options;
    this.#file = new KeptFile({ file: this.#path, what: "list of revoked hosts", log });
  }

  /** 0 while there is none, and while whoever signed it is not to be believed. */
  get version(): number {
    const held = this.#held;
    return held === undefined || this.#options.reader.disowns(held) ? 0 : held.version;
  }

  get hostIds(): ReadonlySet<string> {
    return this.#held?.hostIds ?? new Set();
  }

  /** Reads what an earlier agent kept, if this one would take it. */
  async load(): Promise<void> {
    const kept = await readIfThere(this.#path);
    if (kept !== undefined) this.#held = this.#options.reader.readKept(kept, this.#path);
  }

  /** Takes a list if it is newer. It holds at once, and is written down as soon as the disk takes it. */
  take(list: Revocations): void {
    if (list.version <= this.version || this.#stopped) return;
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
    this.#file.put(list.signed);
  }

  /** Once what is being written is; one that cannot be is not tried again. */
  async stop(): Promise<void> {
    this.#stopped = true;
    await this.#file.stop();
  }
}
