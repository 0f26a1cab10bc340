import {
  hostLogRequestSubject,
  NAME_PATTERN,
  NOTICE_HEADER,
  ReadHostLogRequest,
  ReadHostLogResponse,
  TWINS_NOTICE,
  TwinsNotice,
  type AgentProcess,
} from "@slipway/proto";
import type { Msg } from "nats";
import type { Logger } from "../log.js";
import { answerError } from "../nats/answer.js";
import type { NatsLink } from "../nats/link.js";
import { LogPositionError, type LogRead } from "./read-log.js";

/** Requests that wait while one is answered. */
const MAX_WAITING = 16;

interface LogRequestsOptions {
  link: NatsLink;
  region: string;
  hostId: string;
  /** Reads an application's log; undefined if there is none. @throws LogPositionError */
  read: (application: string, position: string, maxBytes: number) => Promise<LogRead | undefined>;
  /** The region's agents say that these processes all say they are this host. */
  onTwins: (processes: readonly AgentProcess[]) => void;
  log: Logger;
}

/**
 * Answers those who read applications' logs, one after the other. Where there is no answer, the error
 * header begins with the gRPC status that fits. The region's agents give notice under the same subject.
 */
export class LogRequests {
  readonly #options: LogRequestsOptions;
  #waiting = 0;
  #queue: Promise<void> = Promise.resolve();

  constructor(options: LogRequestsOptions) {
    this.#options = options;
  }

  /** To be called before the link is started. */
  start(): void {
    const { link, region, hostId, log } = this.#options;
    link.onConnected((connection, first) => {
      if (!first) return;
      connection.subscribe(hostLogRequestSubject(region, hostId), {
        callback: (error, message) => {
          if (error === null) this.#take(message);
          else log.error({ err: error }, "log request subscription failed");
        },
      });
    });
  }

  #take(message: Msg): void {
    if (message.headers?.get(NOTICE_HEADER) === TWINS_NOTICE) {
      this.#heed(message.data);
      return;
    }
    if (this.#waiting >= MAX_WAITING) {
      answerError(message, "RESOURCE_EXHAUSTED: too many read this host's logs");
      return;
    }
    this.#waiting += 1;
    this.#queue = this.#queue
      .then(() => this.#answer(message))
      .catch((error: unknown) => {
        this.#options.log.error({ err: error }, "log request cannot be answered");
      })
      .finally(() => (this.#waiting -= 1));
  }

  #heed(notice: Uint8Array): void {
    const { log, onTwins } = this.#options;
    try {
      onTwins(TwinsNotice.decode(notice).processes);
    } catch (error) {
      log.warn({ err: error }, "a notice that cannot be read");
    }
  }

  async #answer(message: Msg): Promise<void> {
    const request = decode(message.data);
    // A name is all that becomes a part of a path.
    if (request === undefined || !NAME_PATTERN.test(request.application)) {
      answerError(message, "INVALID_ARGUMENT: the application is not a name");
      return;
    }
    const { application, position, maxBytes } = request;
    let read: LogRead | undefined;
    try {
      read = await this.#options.read(application, position, maxBytes);
    } catch (error) {
      this.#options.log.warn({ err: error, application }, "log cannot be read");
      const code = error instanceof LogPositionError ? "INVALID_ARGUMENT" : "UNAVAILABLE";
      answerError(message, `${code}: ${(error as Error).message}`);
      return;
    }
    if (read === undefined) {
      answerError(message, `NOT_FOUND: the host has no log of ${application}`);
    } else message.respond(ReadHostLogResponse.encode(read).finish());
  }
}

function decode(data: Uint8Array): ReadHostLogRequest | undefined {
  try {
    return ReadHostLogRequest.decode(data);
  } catch {
    return undefined;
  }
}
