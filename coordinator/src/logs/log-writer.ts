import { setTimeout as delay } from "node:timers/promises";
import { LogSource, type LogLine } from "@slipway/proto";
import type { Logger } from "pino";
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
}

interface Attempt {
  buildId: string;
  number: number;
  bytes: number;
  /** Lines that were not kept since the last that were. */
  dropped: number;
  full: boolean;
}

const MAX_ATTEMPTS_KNOWN = 1_000;

/**
 * Keeps one builder's log lines, one batch after the other. Logs are worth a retry, not a build: what
 * can't be kept in time, or is too much, is dropped, and the log says so when it can again.
 */
export class LogWriter {
  readonly #options: Required<LogWriterOptions>;
  readonly #attempts = new Map<string, Attempt>();
  #last: Promise<void> = Promise.resolve();
  #waiting = 0;

  constructor(options: LogWriterOptions) {
    this.#options = {
      retryMs: 15_000,
      maxWaiting: 64,
      maxBytesPerAttempt: 32 * 1024 * 1024,
      ...options,
    };
  }

  /** Resolves when the batch is kept or dropped; never rejects but by the signal. */
  async write(batch: LogBatch, signal: AbortSignal): Promise<void> {
    const attempt = this.#attempt(batch);
    if (this.#waiting >= this.#options.maxWaiting) {
      attempt.dropped += batch.lines.length;
      return;
    }
    this.#waiting += 1;
    const deadline = Date.now() + this.#options.retryMs;
    const done = this.#last.then(() => this.#keep(batch, attempt, deadline, signal));
    this.#last = done.catch(() => undefined).finally(() => (this.#waiting -= 1));
    await done;
  }

  async #keep(
    batch: LogBatch,
    attempt: Attempt,
    deadline: number,
    signal: AbortSignal,
  ): Promise<void> {
    const lines = this.#bounded(batch, attempt);
    if (lines.length === 0) return;
    const { buildId } = batch;
    for (let failures = 1; ; failures += 1) {
      signal.throwIfAborted();
      try {
        if (attempt.dropped > 0) {
          const name = `${batch.attempt}/before ${batch.batch}`;
          const text = `${attempt.dropped} log lines are missing here: they could not be kept`;
          await this.#options.logs.append(buildId, name, [systemLine(batch.attempt, text)]);
          attempt.dropped = 0;
        }
        await this.#options.logs.append(buildId, `${batch.attempt}/${batch.batch}`, lines);
        return;
      } catch (error) {
        const wait = backoffMs(failures, { firstMs: 100, maxMs: 2_000 });
        if (Date.now() + wait > deadline) {
          attempt.dropped += lines.length;
          this.#options.log.warn({ err: error, buildId, lines: lines.length }, "log lines dropped");
          return;
        }
        await delay(wait, undefined, { signal });
      }
    }
  }

  /** Forgets an attempt whose lease is over, or all; what they are missing is said when it can be. */
  end(over?: { buildId: string; attempt: number }): void {
    for (const [name, attempt] of this.#attempts) {
      const { buildId, number, dropped } = attempt;
      if (over !== undefined && (over.buildId !== buildId || over.attempt !== number)) continue;
      this.#attempts.delete(name);
      if (dropped === 0) continue;
      const text = `${dropped} log lines are missing at the end: they could not be kept`;
      const lines = [systemLine(number, text)];
      this.#options.lateLines.add({ buildId, name: `${number}/missing`, lines });
    }
  }

  /** The lines that still fit, and once a line that says there is no more. */
  #bounded({ attempt: number, lines }: LogBatch, attempt: Attempt): readonly LogLine[] {
    if (attempt.full) return [];
    const bytes = lines.reduce((sum, { text }) => sum + Buffer.byteLength(text), 0);
    attempt.bytes += bytes;
    if (attempt.bytes <= this.#options.maxBytesPerAttempt) return lines;
    attempt.full = true;
    const mebibytes = Math.round(this.#options.maxBytesPerAttempt / 1024 / 1024);
    return [systemLine(number, `the log ends here: more than ${mebibytes} MiB is not kept`)];
  }

  #attempt({ buildId, attempt: number }: LogBatch): Attempt {
    const name = `${buildId}/${number}`;
    const known = this.#attempts.get(name) ?? {
      buildId,
      number,
      bytes: 0,
      dropped: 0,
      full: false,
    };
    if (!this.#attempts.has(name) && this.#attempts.size >= MAX_ATTEMPTS_KNOWN) {
      const [oldest] = this.#attempts.values();
      if (oldest !== undefined) this.end({ buildId: oldest.buildId, attempt: oldest.number });
    }
    this.#attempts.set(name, known);
    return known;
  }
}

/** A line that Slipway says itself. */
export function systemLine(attempt: number, text: string): LogLine {
  return { sequence: 0, time: new Date(), attempt, source: LogSource.SYSTEM, text };
}
