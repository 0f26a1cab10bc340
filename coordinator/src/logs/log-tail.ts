import type { LogLine } from "@slipway/proto";
import type { Logger } from "pino";
import { isMessagingUnavailable } from "../unavailable.js";
import type { BuildLogs } from "./build-logs.js";
import { systemLine } from "./log-writer.js";

export interface LogTailOptions {
  logs: Pick<BuildLogs, "end" | "read">;
  buildId: string;
  /** Sequence of the last line that the reader has; 0 for none. */
  after: number;
  log: Logger;
  now: () => number;
}

/** How long logs are left alone after they could not be read: reading waits for a time-out. */
const PAUSE_MS = 10_000;
const LAST_TRIES = 3;
const UNFINISHED =
  "the end of the log has not come: its builder still has it, or is gone; see later";

/** Reads a build's log as it grows. Logs that can't be read are said to be so, and cost nothing else. */
export class LogTail {
  readonly #options: LogTailOptions;
  #position: number;
  #failing = false;
  #endedAttempt = 0;
  #pausedUntil = 0;

  constructor(options: LogTailOptions) {
    this.#options = options;
    this.#position = options.after;
  }

  /** The next lines, if there are any now. */
  async read(): Promise<{ lines: LogLine[]; more: boolean }> {
    if (this.#failing && this.#options.now() < this.#pausedUntil) return { lines: [], more: false };
    try {
      return await this.#page();
    } catch (error) {
      if (!isMessagingUnavailable(error)) throw error;
      this.#pausedUntil = this.#options.now() + PAUSE_MS;
      if (this.#failing) return { lines: [], more: false };
      this.#failing = true;
      this.#options.log.warn({ err: error, buildId: this.#options.buildId }, "log not readable");
      return {
        lines: [this.#notice("logs are not available at the moment; the build goes on")],
        more: false,
      };
    }
  }

  /**
   * All lines that are left of a build that has ended with this attempt; 0 for none. What its builder
   * has not said yet is not waited for: a last line says that there may be more.
   */
  async *rest(attempt: number): AsyncGenerator<LogLine[]> {
    for (let failures = 0; failures < LAST_TRIES;) {
      try {
        const { lines, more } = await this.#page();
        if (lines.length > 0) yield lines;
        if (more) continue;
        if (this.#endedAttempt < attempt) yield [this.#notice(UNFINISHED)];
        return;
      } catch (error) {
        if (!isMessagingUnavailable(error)) throw error;
        failures += 1;
      }
    }
    yield [this.#notice("the rest of the log is not available: its storage does not answer")];
  }

  /**
   * The lines that are kept by now, and perhaps some that come in while they are read.
   * @throws NatsError if they can't all be read.
   */
  async *kept(): AsyncGenerator<LogLine[]> {
    const end = await this.#options.logs.end(this.#options.buildId);
    while (this.#position < end) {
      const { lines, more } = await this.#page();
      if (lines.length > 0) yield lines;
      if (!more) return;
    }
  }

  async #page(): Promise<{ lines: LogLine[]; more: boolean }> {
    const page = await this.#options.logs.read(this.#options.buildId, this.#position);
    this.#position = page.position;
    this.#endedAttempt = Math.max(this.#endedAttempt, page.endedAttempt);
    this.#failing = false;
    return page;
  }

  /** Has the sequence of the place where the log was left, so that a reader can resume from it. */
  #notice(text: string): LogLine {
    return { ...systemLine(0, text), sequence: Math.max(this.#position, 1) };
  }
}
