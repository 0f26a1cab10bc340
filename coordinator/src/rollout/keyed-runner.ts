import type { Logger } from "pino";

interface Options {
  /** Keys that run at once, at most. */
  concurrency: number;
  /** Between the end of a key's run and the start of its next, in milliseconds. */
  spacingMs: number;
  log: Logger;
}

/**
 * Runs something for a key whenever it is kicked: never twice at once for one key, and once more
 * after a run if it was kicked meanwhile. Keys do not wait for each other beyond the concurrency.
 */
export class KeyedRunner {
  readonly #run: (key: string) => Promise<void>;
  readonly #options: Options;
  readonly #ready = new Set<string>();
  readonly #running = new Map<string, Promise<void>>();
  /** Keys that rest after a run, and whether they were kicked meanwhile. */
  readonly #resting = new Map<string, { timer: NodeJS.Timeout; again: boolean }>();
  #stopped = false;

  constructor(run: (key: string) => Promise<void>, options: Options) {
    this.#run = run;
    this.#options = options;
  }

  kick(key: string): void {
    if (this.#stopped) return;
    const resting = this.#resting.get(key);
    if (resting !== undefined) {
      resting.again = true;
      return;
    }
    this.#ready.add(key);
    this.#pump();
  }

  /** Starts nothing more and waits for what runs. */
  async stop(): Promise<void> {
    this.#stopped = true;
    this.#ready.clear();
    for (const { timer } of this.#resting.values()) clearTimeout(timer);
    this.#resting.clear();
    await Promise.all(this.#running.values());
  }

  #pump(): void {
    for (const key of this.#ready) {
      if (this.#running.size >= this.#options.concurrency) return;
      if (this.#running.has(key)) continue;
      this.#ready.delete(key);
      this.#running.set(key, this.#once(key));
    }
  }

  async #once(key: string): Promise<void> {
    try {
      await this.#run(key);
    } catch (error) {
      this.#options.log.error({ err: error, key }, "a step failed");
    }
    this.#running.delete(key);
    if (this.#stopped) return;
    const again = this.#ready.delete(key);
    const timer = setTimeout(() => this.#rested(key), this.#options.spacingMs);
    this.#resting.set(key, { timer, again });
    this.#pump();
  }

  #rested(key: string): void {
    const again = this.#resting.get(key)?.again === true;
    this.#resting.delete(key);
    if (again) this.kick(key);
  }
}
