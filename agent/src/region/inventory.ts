import { setTimeout as delay } from "node:timers/promises";
import {
  ArtifactQuery,
  ArtifactQueryReply,
  artifactQuerySubject,
  HostQuery,
  HostQueryReply,
  HostStatus,
  hostQuerySubject,
  hostStatusSubject,
} from "@slipway/proto";
import type { Msg } from "nats";
import type { Logger } from "../log.js";
import type { NatsLink } from "../nats/link.js";
import { countHolders } from "./count-holders.js";
import type { HostTable } from "./host-table.js";

/** Between log lines about bad host messages, in ms. */
const LOG_EVERY_MS = 10_000;
const MAX_QUERY_HOSTS = 1_000;
/** Below what NATS takes in one message. */
const MAX_REPLY_BYTES = 900 * 1024;
/** An agent that still warms up lets the other one answer first. */
const WARMING_DELAY_MS = 250;

interface InventoryOptions {
  globalLink: NatsLink;
  regionLink: NatsLink;
  region: string;
  table: HostTable;
  /** Whether the persisted enrolment has been read: without it there is nothing to count by. */
  enrolmentKnown: () => boolean;
  warming: () => boolean;
  log: Logger;
}

/** Listens to the region's hosts, and answers what coordinators ask about them. */
export class Inventory {
  readonly #options: InventoryOptions;
  #loggedAt = Number.NEGATIVE_INFINITY;

  constructor(options: InventoryOptions) {
    this.#options = options;
  }

  /** To be called before the links are started; it ends with them. */
  start(): void {
    const { globalLink, regionLink, region, log } = this.#options;
    regionLink.onConnected((connection, first) => {
      if (!first) return;
      connection.subscribe(hostStatusSubject(region, "*"), {
        callback: (error, message) => {
          if (error === null) this.#hear(message);
          else log.error({ err: error }, "host status subscription failed");
        },
      });
    });
    globalLink.onConnected((connection, first) => {
      if (!first) return;
      for (const [subject, answer] of [
        [hostQuerySubject(region), this.#answerHosts],
        [artifactQuerySubject(region), this.#answerArtifact],
      ] as const) {
        connection.subscribe(subject, {
          callback: (error, message) => {
            if (error === null) void this.#answer(message, answer);
            else log.error({ err: error, subject }, "query subscription failed");
          },
        });
      }
    });
  }

  #hear(message: Msg): void {
    const { table, log } = this.#options;
    const host = message.subject.slice(message.subject.lastIndexOf(".") + 1);
    const now = performance.now();
    const dropped = table.hear(host, message.data, now);
    if (dropped === undefined || now - this.#loggedAt < LOG_EVERY_MS) return;
    this.#loggedAt = now;
    log.warn(
      { host: host.slice(0, 100), reason: dropped, droppedSoFar: table.stats.dropped },
      "host message dropped",
    );
  }

  /** Answers unless the query cannot be answered here and now: then another agent may. */
  async #answer(
    message: Msg,
    answer: (query: Uint8Array) => Uint8Array | undefined,
  ): Promise<void> {
    const { warming, log } = this.#options;
    try {
      if (warming()) await delay(WARMING_DELAY_MS);
      const reply = answer(message.data);
      if (reply !== undefined) message.respond(reply);
    } catch (error) {
      log.warn({ err: error, subject: message.subject }, "query cannot be answered");
    }
  }

  readonly #answerHosts = (query: Uint8Array): Uint8Array => {
    const { table } = this.#options;
    const { hostIds } = HostQuery.decode(query);
    const reply: HostQueryReply = { hosts: [] };
    const now = performance.now();
    let bytes = 0;
    for (const hostId of hostIds.slice(0, MAX_QUERY_HOSTS)) {
      const status = table.status(hostId, now);
      if (status === undefined) continue;
      bytes += HostStatus.encode(status).finish().length + 8;
      if (bytes > MAX_REPLY_BYTES) break;
      reply.hosts.push(status);
    }
    return HostQueryReply.encode(reply).finish();
  };

  readonly #answerArtifact = (query: Uint8Array): Uint8Array | undefined => {
    const { table, enrolmentKnown } = this.#options;
    if (!enrolmentKnown()) return undefined;
    const reply = countHolders(ArtifactQuery.decode(query), table.enrolled());
    return ArtifactQueryReply.encode(reply).finish();
  };
}
