import { BUILD_LOGS_STREAM, buildLogSubject, LogLines, type LogLine } from "@slipway/proto";
import {
  DiscardPolicy,
  headers,
  NatsError,
  nanos,
  RetentionPolicy,
  StorageType,
  type MsgRequest,
  type NatsConnection,
} from "nats";
import type { Logger } from "pino";
import type { Service } from "../context.js";
import { onReconnect } from "../status/reconnects.js";
import { afterMessage, firstMessageAfter, lineSequence } from "./sequence.js";
import { packLines } from "./split-lines.js";

export interface BuildLogsOptions {
  nats: NatsConnection;
  log: Logger;
  /** Of all builds' logs; the oldest go first. */
  maxBytes: number;
  maxAgeMs: number;
}

/** A page of a log: lines after a position, and where the next page starts. */
export interface LogPage {
  lines: LogLine[];
  /** What to ask for next; the one asked for if there is nothing new. */
  position: number;
  /** There may be more at once. */
  more: boolean;
  /** The last attempt whose log is whole, by what was read; 0 for none. */
  endedAttempt: number;
}

/** A coordinator that died may have published without saying so: its builder says it again. */
const DUPLICATE_WINDOW_MS = 10 * 60_000;
const REQUEST_TIMEOUT_MS = 3_000;
/** A page is at most this and one message: well within what gRPC takes, and what a reader that does
 * not read holds a few of. */
const PAGE_BYTES = 16 * 1024;
const STREAM_NOT_FOUND = 10_059;
const STREAM_NAME_IN_USE = 10_058;
const NO_MESSAGE_FOUND = 10_037;

/** Keeps build logs in a JetStream stream: one subject a build, one message a batch of lines. */
export class BuildLogs implements Service {
  readonly #options: BuildLogsOptions;
  #ensured: Promise<void> | undefined;
  #stopFollowing: (() => void) | undefined;

  constructor(options: BuildLogsOptions) {
    this.#options = options;
  }

  /**
   * Makes the stream, or gives it our limits, before the first build needs it, and again whenever
   * NATS was away: it may have lost the stream.
   */
  start(): void {
    const make = (): void => {
      this.#ensured = undefined;
      this.#ensure().catch((error: unknown) => {
        this.#options.log.warn({ err: error }, "the stream of build logs is not there yet");
      });
    };
    this.#stopFollowing ??= onReconnect(this.#options.nats, make);
    make();
  }

  /** The connection is another's to close. */
  stop(): Promise<void> {
    this.#stopFollowing?.();
    return Promise.resolve();
  }

  /**
   * Keeps lines; resolves when the stream has them. The same name again changes nothing.
   * @param endedAttempt the attempt whose log is whole with them; 0 for none.
   * @throws NatsError if NATS does not take them.
   */
  async append(
    buildId: string,
    name: string,
    lines: readonly LogLine[],
    endedAttempt = 0,
  ): Promise<void> {
    const messages = packLines(lines);
    if (endedAttempt > 0 && messages.length === 0) messages.push([]);
    for (const [part, message] of messages.entries()) {
      const ended = part === messages.length - 1 ? endedAttempt : 0;
      const bytes = LogLines.encode({ lines: message, endedAttempt: ended }).finish();
      await this.#withStream(async () => {
        const header = headers();
        header.set("Nats-Msg-Id", `${buildId}/${name}/${part}`);
        await this.#jetstream().publish(buildLogSubject(buildId), bytes, { headers: header });
      });
    }
  }

  /**
   * Lines after a line's sequence or an earlier page's position; 0 for the start.
   * @throws NatsError if NATS does not answer.
   */
  async read(buildId: string, after: number): Promise<LogPage> {
    const page: LogPage = { lines: [], position: after, more: false, endedAttempt: 0 };
    let from = firstMessageAfter(after);
    for (let bytes = 0; bytes < PAGE_BYTES;) {
      const query = { seq: from, next_by_subj: buildLogSubject(buildId) };
      const message = await this.#message(query);
      if (message === undefined) return page;
      const { lines, endedAttempt } = LogLines.decode(message.data);
      page.endedAttempt = Math.max(page.endedAttempt, endedAttempt);
      for (const [index, line] of lines.entries()) {
        const sequence = lineSequence(message.sequence, index);
        if (sequence > after) page.lines.push({ ...line, sequence });
      }
      page.position = Math.max(page.position, afterMessage(message.sequence));
      from = message.sequence + 1;
      bytes += message.data.length;
    }
    page.more = true;
    return page;
  }

  /**
   * The position after the last line that is kept now; 0 if none is.
   * @throws NatsError if NATS does not answer.
   */
  async end(buildId: string): Promise<number> {
    const message = await this.#message({ last_by_subj: buildLogSubject(buildId) });
    return message === undefined ? 0 : afterMessage(message.sequence);
  }

  /** Calls the listener when lines come in; may call too often. Answers how to stop that. */
  onLines(buildId: string, listener: () => void): () => void {
    const subscription = this.#options.nats.subscribe(buildLogSubject(buildId), {
      callback: listener,
    });
    return () => subscription.unsubscribe();
  }

  /** Asks the stream's leader, so that what was acknowledged is seen. */
  async #message(query: MsgRequest): Promise<{ sequence: number; data: Uint8Array } | undefined> {
    try {
      const manager = await this.#manager();
      const message = await manager.streams.getMessage(BUILD_LOGS_STREAM, query);
      return { sequence: message.seq, data: message.data };
    } catch (error) {
      // A stream that is not there yet has no messages either.
      if (isApiError(error, NO_MESSAGE_FOUND) || isApiError(error, STREAM_NOT_FOUND)) {
        return undefined;
      }
      throw error;
    }
  }

  /** Does it with a stream that is there, making it anew if it was lost with its server. */
  async #withStream(work: () => Promise<void>): Promise<void> {
    await this.#ensure();
    try {
      await work();
    } catch (error) {
      // If the stream is gone and somebody watches the build, nobody answers: the next try makes it.
      this.#ensured = undefined;
      // Nobody listens on the subject: there is no stream.
      const isGone = error instanceof NatsError && error.code === "503";
      if (!isGone && !isApiError(error, STREAM_NOT_FOUND)) throw error;
      await this.#ensure();
      await work();
    }
  }

  #ensure(): Promise<void> {
    this.#ensured ??= this.#createStream().catch((error: unknown) => {
      this.#ensured = undefined;
      throw error;
    });
    return this.#ensured;
  }

  async #createStream(): Promise<void> {
    const limits = {
      max_bytes: this.#options.maxBytes,
      max_age: nanos(this.#options.maxAgeMs),
      duplicate_window: nanos(Math.min(DUPLICATE_WINDOW_MS, this.#options.maxAgeMs)),
    };
    const { streams } = await this.#manager();
    try {
      const { state } = await streams.add({
        name: BUILD_LOGS_STREAM,
        subjects: [buildLogSubject("*")],
        storage: StorageType.File,
        retention: RetentionPolicy.Limits,
        discard: DiscardPolicy.Old,
        ...limits,
      });
      // So a stream made anew, after NATS lost what it kept, goes on above the old one's sequences,
      // and watchers that have lines of that see the new ones. It takes a message a millisecond, on
      // average, to outrun this. A purge of nothing does it with every version of nats-server.
      if (state.last_seq === 0) await streams.purge(BUILD_LOGS_STREAM, { seq: Date.now() });
    } catch (error) {
      // It is there with other limits: the newest coordinator's count.
      if (!isApiError(error, STREAM_NAME_IN_USE)) throw error;
      await streams.update(BUILD_LOGS_STREAM, limits);
    }
  }

  #jetstream() {
    return this.#options.nats.jetstream({ timeout: REQUEST_TIMEOUT_MS });
  }

  #manager() {
    return this.#options.nats.jetstreamManager({ timeout: REQUEST_TIMEOUT_MS, checkAPI: false });
  }
}

function isApiError(error: unknown, code: number): boolean {
  return error instanceof NatsError && error.api_error?.err_code === code;
}
