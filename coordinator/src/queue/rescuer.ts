import { setTimeout as delay } from "node:timers/promises";
import type { Logger } from "pino";
import type { Service } from "../context.js";
import type { BuildQueue } from "./queue.js";
import { RescueGate } from "./rescue-gate.js";

export interface RescuerOptions {
  queue: Pick<BuildQueue, "rescue" | "backlog">;
  leaseDurationMs: number;
  log: Logger;
  /** Milliseconds of a clock that never jumps. */
  monotonic?: () => number;
}

const BACKLOG_LOG_MS = 60_000;

/** Takes builds from builders that were lost, and tells the backlog. */
export class Rescuer implements Service {
  readonly #options: Required<RescuerOptions>;
  readonly #gate: RescueGate;
  readonly #stop = new AbortController();
  #running: Promise<void> | undefined;
  #nextBacklogLog = 0;

  constructor(options: RescuerOptions) {
    this.#options = { monotonic: () => performance.now(), ...options };
    this.#gate = new RescueGate({
      holdMs: options.leaseDurationMs,
      maxGapMs: options.leaseDurationMs / 2,
    });
  }

  start(): void {
    if (!this.#stop.signal.aborted) this.#running ??= this.#run();
  }

  async stop(): Promise<void> {
    this.#stop.abort();
    await this.#running;
  }

  /** Rescues what there is to rescue, if it may be; answers whether it might. */
  async runOnce(): Promise<boolean> {
    const { queue, log, monotonic } = this.#options;
    const open = this.#gate.isOpen(monotonic());
    if (open) {
      const { requeued, failed } = await queue.rescue();
      if (requeued.length + failed.length > 0) {
        log.warn({ requeued, failed }, "builders were lost; their builds were taken from them");
      }
    }
    const backlog = await queue.backlog();
    this.#gate.answered(monotonic());
    if (backlog.count > 0 && monotonic() >= this.#nextBacklogLog) {
      this.#nextBacklogLog = monotonic() + BACKLOG_LOG_MS;
      log.info(backlog, "builds wait in the queue");
    }
    return open;
  }

  async #run(): Promise<void> {
    const { signal } = this.#stop;
    const { leaseDurationMs, log } = this.#options;
    while (!signal.aborted) {
      try {
        await this.runOnce();
      } catch (error) {
        log.warn({ err: error }, "looking for lost builders failed; trying again");
      }
      const pause = (leaseDurationMs / 5) * (0.8 + Math.random() * 0.4);
      await delay(pause, undefined, { signal }).catch(() => undefined);
    }
  }
}
