import type { LogLine } from "@slipway/proto";
import type { Logger } from "pino";
import type { Service } from "../context.js";
import { backoffMs } from "../retry.js";
import { Wake } from "../wake.js";
import type { BuildLogs } from "./build-logs.js";

export interface LateLinesOptions {
  logs: Pick<BuildLogs, "append">;
  log: Logger;
  /** Between tries: doubling up to the second. Default 1 s and 30 s. */
  retry?: { firstMs: number; maxMs: number };
}

interface Late {
  buildId: string;
  name: string;
  lines: readonly LogLine[];
  /** The attempt whose log ends with them. */
  endedAttempt: number;
}

const MAX_WAITING = 1_000;

/**
 * Keeps lines as soon as NATS takes them, however late: what a log has to say of its own gaps after
 * its build has ended. Nothing waits for it.
 */
export class LateLines implements Service {
  readonly #options: Required<LateLinesOptions>;
  readonly #waiting: Late[] = [];
  readonly #wake = new Wake();
  readonly #stop = new AbortController();
  #running: Promise<void> | undefined;

  constructor(options: LateLinesOptions) {
    this.#options = { retry: { firstMs: 1_000, maxMs: 30_000 }, ...options };
  }

  start(): void {
    this.#running ??= this.#run();
  }

  async stop(): Promise<void> {
    this.#stop.abort();
    await this.#running;
    for (const late of this.#waiting.splice(0)) this.#drop(late, "the coordinator stops");
  }

  add(late: Late): void {
    if (this.#waiting.length >= MAX_WAITING) {
      this.#drop(late, "too many wait");
      return;
    }
    this.#waiting.push(late);
    this.#wake.signal();
  }

  async #run(): Promise<void> {
    const { signal } = this.#stop;
    for (let failures = 0; !signal.aborted;) {
      const [late] = this.#waiting;
      try {
        if (late !== undefined) {
          const { buildId, name, lines, endedAttempt } = late;
          await this.#options.logs.append(buildId, name, lines, endedAttempt);
          this.#waiting.shift();
          failures = 0;
          continue;
        }
      } catch {
        // Said when it is given up.
        failures += 1;
      }
      const timeoutMs = failures === 0 ? 60_000 : backoffMs(failures, this.#options.retry);
      await this.#wake.next({ timeoutMs, signal }).catch(() => undefined);
    }
  }

  #drop({ buildId, lines }: Late, why: string): void {
    const texts = lines.map(({ text }) => text);
    this.#options.log.error({ buildId, texts, why }, "a log does not say what it is missing");
  }
}
