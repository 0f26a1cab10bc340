import type { Logger } from "pino";
import type { Service } from "./context.js";
import { Wake } from "./wake.js";

/** Something that is done now and then, by any coordinator or by several at once. */
export interface Sweep {
  /** Named in logs. */
  what: string;
  /** Answers how many rows it was about. */
  run: (signal: AbortSignal) => Promise<number>;
}

/** Does every sweep at start and then at intervals. One that fails is done again at the next. */
export class Sweeper implements Service {
  readonly #options: { sweeps: readonly Sweep[]; intervalMs: number; log: Logger };
  readonly #stop = new AbortController();
  readonly #wake = new Wake();
  #running: Promise<void> | undefined;

  constructor(options: { sweeps: readonly Sweep[]; intervalMs: number; log: Logger }) {
    this.#options = options;
  }

  start(): void {
    if (!this.#stop.signal.aborted) this.#running ??= this.#run();
  }

  async stop(): Promise<void> {
    this.#stop.abort();
    await this.#running;
  }

  /** Does every sweep now. */
  wake(): void {
    this.#wake.signal();
  }

  async runOnce(): Promise<void> {
    const { sweeps, log } = this.#options;
    for (const { what, run } of sweeps) {
      if (this.#stop.signal.aborted) return;
      try {
        const rows = await run(this.#stop.signal);
        if (rows > 0) log.info({ rows }, what);
      } catch (error) {
        log.warn({ err: error }, `${what} failed; tried again later`);
      }
    }
  }

  async #run(): Promise<void> {
    const { signal } = this.#stop;
    while (!signal.aborted) {
      await this.runOnce();
      const timeoutMs = this.#options.intervalMs * (0.75 + Math.random() / 2);
      await this.#wake.next({ timeoutMs, signal }).catch(() => undefined);
    }
  }
}
