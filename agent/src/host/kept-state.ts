import type { Logger } from "../log.js";
import { readState, writeState, type ApplicationState } from "./application-state.js";

/** An application's state, in memory and on disk. It is written by one after the other. */
export class KeptState {
  readonly #folder: string;
  #value: ApplicationState = {};
  #written: Promise<void> = Promise.resolve();

  /** @param folder the application's. */
  constructor(folder: string) {
    this.#folder = folder;
  }

  get value(): Readonly<ApplicationState> {
    return this.#value;
  }

  /** Reads what an earlier agent wrote down. */
  async load(log: Logger): Promise<void> {
    this.#value = await readState(this.#folder, log);
  }

  /** Changes it in memory alone: it is written down with what is saved next. */
  note(change: Partial<ApplicationState>): void {
    this.#value = { ...this.#value, ...change };
  }

  /** Changes it, and writes it down. */
  save(change: Partial<ApplicationState> = {}): Promise<void> {
    this.note(change);
    const written = this.#written.then(() => writeState(this.#folder, this.#value));
    this.#written = written.catch(() => {
      // Whoever saves this hears of it; the next one tries by itself.
    });
    return written;
  }
}
