import { unary, type EnrolledHost, type FleetServiceClient } from "@slipway/proto";
import { backOffMs } from "../back-off.js";
import type { CoordinatorReach } from "../coordinator/coordinator-reach.js";
import type { Logger } from "../log.js";
import { pause } from "../pause.js";
import type { HostTable } from "./host-table.js";

const RETRY = { baseMs: 500, maxMs: 30_000 };
const CALL_TIMEOUT_MS = 10_000;
const BATCH = 1_000;
const PAGE = 10_000;
/** Between looks for hosts to enrol, in ms. */
const FLUSH_MS = 500;
/** Between looks for hosts that were enrolled elsewhere, or are no more. */
const REFRESH_MS = 60_000;

interface EnrollerOptions {
  client: FleetServiceClient;
  region: string;
  table: HostTable;
  /** Of the region's lease, while this agent leads; else 0. Only who leads enrols. */
  leaderTerm: () => number;
  reach: CoordinatorReach;
  log: Logger;
  /** Between two readings of the persisted hosts, in ms. Default: 60 s. */
  refreshMs?: number | undefined;
}

/**
 * Reads the region's persisted hosts into the table, again every minute, and persists those that are
 * new in it.
 */
export class Enroller {
  readonly #options: EnrollerOptions;
  readonly #controller = new AbortController();
  /** Of the lease when the persisted hosts were last read; undefined before. */
  #readTerm: number | undefined;
  #loop: Promise<void> | undefined;

  constructor(options: EnrollerOptions) {
    this.#options = options;
  }

  /** Whether the persisted hosts have been read; if this agent leads, since it does. */
  get known(): boolean {
    const term = this.#options.leaderTerm();
    return this.#readTerm !== undefined && (term === 0 || term === this.#readTerm);
  }

  start(): void {
    this.#loop ??= this.#run();
  }

  async stop(): Promise<void> {
    this.#controller.abort(new Error("the agent stops"));
    await this.#loop;
  }

  async #run(): Promise<void> {
    const { signal } = this.#controller;
    const { refreshMs = REFRESH_MS, leaderTerm, reach } = this.#options;
    let readAt = Number.NEGATIVE_INFINITY;
    let attempt = 0;
    while (!signal.aborted) {
      let waitMs = FLUSH_MS;
      try {
        const term = leaderTerm();
        // Whoever led before has enrolled hosts that are not known here.
        const isDue = performance.now() - readAt >= refreshMs;
        // Of coordinators that were away it is also asked whether they are back.
        if (!this.known || isDue || reach.awaySince !== undefined) {
          await this.#read();
          readAt = performance.now();
          this.#readTerm = term;
        }
        if (leaderTerm() > 0 && this.known) await this.#enrol();
        attempt = 0;
      } catch (error) {
        waitMs = backOffMs(attempt, RETRY);
        attempt += 1;
        if (!signal.aborted) reach.failed(error, "hosts cannot be enrolled yet");
      }
      await pause(waitMs, signal);
    }
  }

  async #read(): Promise<void> {
    const { client, region, table, reach, log } = this.#options;
    const options = { timeoutMs: CALL_TIMEOUT_MS, signal: this.#controller.signal };
    const hosts: EnrolledHost[] = [];
    let pageToken = "";
    do {
      const request = { region, pageSize: PAGE, pageToken };
      const page = await unary(client, "listEnrolledHosts", request, options);
      reach.answered();
      hosts.push(...page.hosts);
      pageToken = page.nextPageToken;
    } while (pageToken !== "");
    table.enrol(hosts);
    const gone = table.retain(new Set(hosts.map(({ hostId }) => hostId)));
    if (gone > 0) log.warn({ hosts: gone }, "hosts are enrolled no more: not counted");
  }

  async #enrol(): Promise<void> {
    const { client, table, reach, log } = this.#options;
    const options = { timeoutMs: CALL_TIMEOUT_MS, signal: this.#controller.signal };
    for (;;) {
      const hosts = table.toEnrol(BATCH);
      if (hosts.length === 0) return;
      const answer = await unary(client, "enrolHosts", { hosts }, options);
      reach.answered();
      const { decommissionedHostIds: refused } = answer;
      table.enrol(hosts.filter(({ hostId }) => !refused.includes(hostId)));
      table.decommission(refused);
      log.info({ hosts: hosts.length - refused.length }, "hosts enrolled");
      if (refused.length > 0) {
        const [example] = refused;
        log.error({ hosts: refused.length, example }, "decommissioned hosts still speak: ignored");
      }
    }
  }
}
