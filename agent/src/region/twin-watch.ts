import {
  hostLogRequestSubject,
  TWINS_NOTICE,
  TwinsNotice,
  type AgentProcess,
} from "@slipway/proto";
import type { Logger } from "../log.js";
import type { NatsLink } from "../nats/link.js";
import { sendNotice } from "../nats/notice.js";
import { describeProcess } from "../process/this-process.js";
import type { HostTable } from "./host-table.js";

const LOOK_MS = 2_000;
/** Between two times that the same is told a host, or logged, in ms. */
const REPEAT_MS = 30_000;
/** Hosts that are told and logged at one look. */
const MAX_AT_ONCE = 100;

interface TwinWatchOptions {
  regionLink: NatsLink;
  region: string;
  table: HostTable;
  /** Only who leads tells hosts. */
  leading: () => boolean;
  log: Logger;
}

/** Looks for hosts that several processes say they are, and tells the log, and these processes. */
export class TwinWatch {
  readonly #options: TwinWatchOptions;
  readonly #told = new Map<string, number>();
  #count = 0;
  #timer: NodeJS.Timeout | undefined;

  constructor(options: TwinWatchOptions) {
    this.#options = options;
  }

  /** Hosts that there are several of, as of the last look. */
  get count(): number {
    return this.#count;
  }

  start(): void {
    this.#timer ??= setInterval(() => this.runOnce(performance.now()), LOOK_MS).unref();
  }

  stop(): void {
    clearInterval(this.#timer);
  }

  runOnce(now: number): void {
    const twins = this.#options.table.twins(now);
    this.#count = twins.size;
    for (const [host, toldAt] of this.#told) {
      if (twins.has(host)) continue;
      // It may be that one is only slow to speak: not said to be over until it is over for sure.
      if (now - toldAt < REPEAT_MS) continue;
      this.#told.delete(host);
      this.#options.log.info({ host }, "this host is one process again");
    }
    let left = MAX_AT_ONCE;
    for (const [host, processes] of twins) {
      const toldAt = this.#told.get(host) ?? Number.NEGATIVE_INFINITY;
      if (now - toldAt < REPEAT_MS) continue;
      if (left === 0) return;
      left -= 1;
      this.#told.set(host, now);
      this.#tell(host, processes);
    }
  }

  #tell(host: string, processes: AgentProcess[]): void {
    const { leading, region, regionLink, log } = this.#options;
    log.error(
      { host, processes: processes.map(describeProcess) },
      "several processes say they are this host, as if its data directory had been copied: each " +
        "undoes what the other says; stop all but one, and give the others identities of their own",
    );
    const { connection } = regionLink;
    if (!leading() || connection === undefined) return;
    const content = TwinsNotice.encode({ processes }).finish();
    const subject = hostLogRequestSubject(region, host);
    sendNotice(connection, { subject, kind: TWINS_NOTICE, content });
  }
}
