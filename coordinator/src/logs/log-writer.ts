import { setTimeout as delay } from "node:timers/promises";
import { LogSource, type LogLine } from "@slipway/proto";
import type { Logger } from "pino";
import { steadyClock } from "../context.js";
import { backoffMs } from "../retry.js";
import type { BuildLogs } from "./build-logs.js";
import type { LateLines } from "./late-lines.js";

export interface LogWriterOptions {
  logs: Pick<BuildLogs, "append">;
  lateLines: Pick<LateLines, "add">;
  log: Logger;
  /** How long to try to keep a batch. Default 15 s. */
  retryMs?: number;
  /** Batches that may wait. Default 64. */
  maxWaiting?: number;
  /** Text that is kept of one attempt, in bytes. Default 32 MiB. */
  maxBytesPerAttempt?: number;
}

/** Lines of one attempt that belong together. */
export interface LogBatch {
  buildId: string;
  attempt: number;
  /** Rises within an attempt. */
  batch: number;
  lines: readonly LogLine[];
  /** The attempt's log is whole with it. */
  last: boolean;
  /** Nobody has the batches before it any more. */
  givenUp: boolean;
}

interface Attempt {
  bytes: number;
  full: boolean;
}

const MAX_ATTEMPTS_KNOWN = 1_000;

/**
 * Keeps one builder's log lines, one batch after the other. Logs are worth a retry, not a build: what
 * can't be kept in time is left to the builder, which says it again.
 */
export class LogWriter {
  readonly #options: Required<LogWriterOptions>;
  readonly #attempts = new Map<string, Attempt>();
  #last: Promise<unknown> = Promise.resolve();
  #waiting = 0;

  constructor(options: LogWriterOptions) {
    this.#options = {
      retryMs: 15_000,
      maxWaiting: 64,
      maxBytesPerAttempt: 32 * 1024 * 1024,
      ...options,
    };
  }

  /** Resolves with whether the batch is kept; never rejects but by the signal. */
  async write(batch: LogBatch, signal: AbortSignal): Promise<boolean> {
    if (this.#waiting >= this.#options.maxWaiting) return false;
    this.#waiting += 1;
    const deadline = steadyClock.now() + this.#options.retryMs;
    const done = this.#last.then(() => this.#keep(batch, deadline, signal));
    this.#last = done.catch(() => undefined).finally(() => (this.#waiting -= 1));
    return done;
  }

  async #keep(batch: LogBatch, deadline: number, signal: AbortSignal): Promise<boolean> {
    const attempt = this.#attempt(batch);
    const { lines, ...after } = this.#bounded(batch, attempt);
    const { buildId, last, givenUp } = batch;
    const endedAttempt = last ? batch.attempt : 0;
    const name = `${batch.attempt}/${batch.batch}`;
    for (let failures = 1; ; failures += 1) {
      signal.throwIfAborted();
      try {
        await this.#options.logs.append(buildId, name, lines, endedAttempt);
        Object.assign(attempt, after);
        return true;
      } catch (error) {
        const wait = backoffMs(failures, { firstMs: 100, maxMs: 2_000 });
        if (steadyClock.now() + wait <= deadline) {
          await delay(wait, undefined, { signal });
          continue;
        }
        this.#options.log.warn({ err: error, buildId, lines: lines.length }, "log not kept yet");
        // Its builder may be gone soon, and it says what is missing.
        if (givenUp) this.#options.lateLines.add({ buildId, name, lines, endedAttempt });
        return givenUp;
      }
    }
  }

  /** The lines that still fit, and once a line that says there is no more; and what is so then. */
  #bounded(
    { attempt: number, lines }: LogBatch,
    { bytes: before, full }: Attempt,
  ): Attempt & { lines: readonly LogLine[] } {
    const { maxBytesPerAttempt } = this.#options;
    const bytes = before + lines.reduce((sum, { text }) => sum + Buffer.byteLength(text), 0);
    if (full) return { lines: [], bytes: before, full };
    if (bytes <= maxBytesPerAttempt) return { lines, bytes, full };
    const mebibytes = Math.round(maxBytesPerAttempt / 1024 / 1024);
    const text = `the log ends here: more than ${mebibytes} MiB is not kept`;
    return { lines: [systemLine(number, text)], bytes, full: true };
  }

  #attempt({ buildId, attempt: number }: LogBatch): Attempt {
    const name = `${buildId}/${number}`;
    const known = this.#attempts.get(name) ?? { bytes: 0, full: false };
    // The one that was written to last goes last.
    this.#attempts.delete(name);
    this.#attempts.set(name, known);
    const [oldest] = this.#attempts.keys();
    if (oldest !== undefined && this.#attempts.size > MAX_ATTEMPTS_KNOWN) {
      this.#attempts.delete(oldest);
    }
    return known;
  }
}

/** A line that Slipway says itself. */
export function systemLine(attempt: number, text: string): LogLine {
  return { sequence: 0, time: new Date(), attempt, source: LogSource.SYSTEM, text };
}
