import {
  hostLogRequestSubject,
  hostLogSubject,
  NAME_PATTERN,
  ReadHostLogRequest,
} from "@slipway/proto";
import type { Msg } from "nats";
import type { Logger } from "../log.js";
import type { NatsLink } from "../nats/link.js";
import { answerError } from "../nats/answer.js";

const TIMEOUT_MS = 3_000;
const MAX_AT_ONCE = 32;
/** One of the region's agents answers. */
const QUEUE = "region-agents";

interface HostLogBridgeOptions {
  globalLink: NatsLink;
  regionLink: NatsLink;
  region: string;
  log: Logger;
}

/** Passes coordinators' questions for a host's log on to the host, and its answers back. */
export class HostLogBridge {
  readonly #options: HostLogBridgeOptions;
  #running = 0;

  constructor(options: HostLogBridgeOptions) {
    this.#options = options;
  }

  /** To be called before the links are started; it ends with them. */
  start(): void {
    const { globalLink, region, log } = this.#options;
    globalLink.onConnected((connection, first) => {
      if (!first) return;
      connection.subscribe(hostLogSubject(region), {
        queue: QUEUE,
        callback: (error, message) => {
          if (error === null) void this.#answer(message);
          else log.error({ err: error }, "host log subscription failed");
        },
      });
    });
  }

  async #answer(message: Msg): Promise<void> {
    if (this.#running >= MAX_AT_ONCE) {
      answerError(message, `the region's agent passes on ${MAX_AT_ONCE} log requests already`);
      return;
    }
    this.#running += 1;
    try {
      const reply = await this.#ask(message.data);
      message.respond(reply.data, reply.headers && { headers: reply.headers });
    } catch (error) {
      this.#options.log.debug({ err: error }, "host log request failed");
      answerError(message, explain(error));
    } finally {
      this.#running -= 1;
    }
  }

  #ask(data: Uint8Array): Promise<Msg> {
    const { region, regionLink } = this.#options;
    const { hostId } = ReadHostLogRequest.decode(data);
    if (!NAME_PATTERN.test(hostId)) throw new Error("the host's id is not a name");
    const { connection } = regionLink;
    if (connection === undefined) throw new Error("the region's nats is away");
    return connection.request(hostLogRequestSubject(region, hostId), data, { timeout: TIMEOUT_MS });
  }
}

function explain(error: unknown): string {
  const { code, message } = error as { code?: unknown; message?: string };
  if (code === "503") return "the host is not connected";
  if (code === "TIMEOUT") return `the host did not answer in ${TIMEOUT_MS} ms`;
  return message ?? String(error);
}
