import { writeAtomically } from "./atomic-file.js";
import { persist } from "./host/persist.js";
import type { Logger } from "./log.js";

interface KeptFileOptions {
  file: string;
  /** What is kept, for the log. */
  what: string;
  log: Logger;
}

/** A file that has the newest of what is to outlast the agent, as soon as the disk takes it. */
export class KeptFile {
  readonly #options: KeptFileOptions;
  readonly #controller = new AbortController();
  #newest: Buffer | undefined;
  #written: Buffer | undefined;
  #writing: Promise<void> | undefined;

  constructor(options: KeptFileOptions) {
    this.#options = options;
  }

  /** Puts this in the file, and nothing that came before any more. Does not wait for the disk. */
  put(content: Buffer): void {
    if (this.#controller.signal.aborted) return;
    this.#newest = content;
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
    const { file, what, log } = this.#options;
    while (this.#newest !== this.#written) {
      const attempt = async (): Promise<void> => {
        // The newest, also if it came while another one could not be written.
        const content = this.#newest;
        if (content !== undefined) await writeAtomically(file, content);
        this.#written = content;
      };
      try {
        await persist(attempt, this.#controller.signal, (err, retryInMs) =>
          log.error({ err, retryInMs }, `${what} cannot be kept`),
        );
      } catch (error) {
        log.error({ err: error }, `${what} was not kept`);
        return;
      }
    }
  }
}
