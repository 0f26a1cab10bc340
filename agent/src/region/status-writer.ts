import {
  type AgentProcess,
  RegionAgentStatus,
  RegionApplicationStatus,
  regionAgentKey,
  regionApplicationKey,
  STATUS_BUCKET,
  type Goal,
} from "@slipway/proto";
import type { KV } from "nats";
import type { Logger } from "../log.js";
import type { Refusal } from "../coordinator/token-standing.js";
import type { NatsLink } from "../nats/link.js";
import { readHeaders } from "../nats/read-headers.js";
import { isStale } from "../host/goal-order.js";
import { pause } from "../pause.js";
import type { ApplicationCount } from "./application-count.js";
import type { TwinAlarm } from "../process/twin-alarm.js";
import { forgetDeadAgents } from "./dead-agents.js";
import type { HostTable } from "./host-table.js";
import { OwnTwins } from "./own-twins.js";
import { generationsAhead } from "./known-host.js";
import { Rate } from "./rate.js";
import { RegionCounts } from "./region-counts.js";

/** Counts are written at most twice a second. */
const TICK_MS = 500;
const AGENT_EVERY_MS = 2_000;
/** Counts are written at least this often. */
const REPEAT_MS = 10_000;
/** Hosts report their whole state every 10 s, so after two of these the counts mean something. */
const WARMING_MS = 20_000;
const REQUEST_TIMEOUT_MS = 3_000;
/** Agents that have given no sign of life for so long are forgotten, and looked for so often. */
const DEAD_AFTER_MS = 10 * 60_000;
const LOOK_FOR_DEAD_MS = 60_000;
const REFUSAL_CHARACTERS = 500;
/** The global NATS may be far away: so many writes are on their way at a time. */
const WRITES = 16;

interface StatusWriterOptions {
  link: NatsLink;
  /** To the region's own NATS. */
  regionLink: Pick<NatsLink, "awaySince">;
  /** That coordinators do not let this agent in; undefined while they do. */
  refusal: () => Refusal | undefined;
  /** Since when no coordinator can be reached; undefined while one can. */
  coordinatorAwaySince: () => Date | undefined;
  region: string;
  agentId: string;
  table: HostTable;
  goals: () => ReadonlyMap<string, Goal>;
  /** Of the region's lease, while this agent leads; else 0. Only who leads writes counts. */
  leaderTerm: () => number;
  /** Of the key set that the agent goes by. */
  keySetVersion: () => number;
  /** This process, and who hears of others that say they are this agent. */
  self: AgentProcess;
  alarm: TwinAlarm;
  /** Hosts that several processes say they are. */
  twinHosts: () => number;
  /** Whether the persisted enrolment has been read: without it there is nothing to count by. */
  enrolmentKnown: () => boolean;
  log: Logger;
}

interface Written {
  count: ApplicationCount;
  writtenAt: number;
  content: Buffer;
  rate: Rate;
}

/**
 * Writes this agent's sign of life to the global status bucket and, while it leads, the region's
 * counts.
 */
export class StatusWriter {
  readonly #options: StatusWriterOptions;
  readonly #controller = new AbortController();
  readonly #startTime = new Date();
  readonly #startedAt = performance.now();
  readonly #written = new Map<string, Written>();
  readonly #counts: RegionCounts;
  readonly #twins: OwnTwins;
  #agentAt = Number.NEGATIVE_INFINITY;
  #lookedForDeadAt = Number.NEGATIVE_INFINITY;
  /** Of the lease at the last tick. */
  #term = 0;
  #warm = false;
  #loop: Promise<void> | undefined;

  constructor(options: StatusWriterOptions) {
    this.#options = options;
    this.#counts = new RegionCounts(options.table);
    this.#twins = new OwnTwins(options.self, options.log);
  }

  /** Whether this agent has not listened for long enough for its counts to be judged by. */
  get warming(): boolean {
    const { enrolmentKnown, table } = this.#options;
    if (!enrolmentKnown()) return true;
    const listenedMs = performance.now() - this.#startedAt;
    this.#warm ||= listenedMs >= WARMING_MS || table.counts(performance.now()).unheard === 0;
    return !this.#warm;
  }

  start(): void {
    this.#loop ??= this.#run();
  }

  async stop(): Promise<void> {
    this.#controller.abort();
    await this.#loop;
  }

  async #run(): Promise<void> {
    const { signal } = this.#controller;
    const { link, log } = this.#options;
    while (!signal.aborted) {
      const { connection } = link;
      if (connection !== undefined) {
        try {
          const kv = await connection
            .jetstream({ timeout: REQUEST_TIMEOUT_MS })
            .views.kv(STATUS_BUCKET, { bindOnly: true });
          await this.#tick(kv, performance.now());
        } catch (error) {
          // The coordinator makes the bucket; until then, and while NATS is away, nobody reads.
          if (!signal.aborted) log.debug({ err: error }, "status cannot be written");
        }
      }
      await pause(TICK_MS, signal);
    }
  }

  async #tick(kv: KV, now: number): Promise<void> {
    const { goals: readGoals, leaderTerm, enrolmentKnown, table } = this.#options;
    const goals = readGoals();
    table.sweep(now);
    this.#counts.keep(goals);
    const term = leaderTerm();
    if (term !== this.#term || now - this.#agentAt >= AGENT_EVERY_MS) {
      await this.#writeAgent(kv, goals, term, now);
      this.#agentAt = now;
    }
    if (term !== this.#term) {
      this.#written.clear();
      if (term > 0) await this.#deleteOthers(kv);
      this.#term = term;
    }
    if (term === 0 || !enrolmentKnown()) return;
    const queue = goals.values();
    const work = async (): Promise<void> => {
      for (const goal of queue) {
        if (leaderTerm() !== term) return;
        await this.#writeApplication(kv, goal, now);
      }
    };
    const writes = await Promise.allSettled(Array.from({ length: WRITES }, work));
    const failed = writes.find((result) => result.status === "rejected");
    if (failed !== undefined) throw failed.reason;
    if (now - this.#lookedForDeadAt >= LOOK_FOR_DEAD_MS) await this.#forgetDead(kv, now);
  }

  async #forgetDead(kv: KV, now: number): Promise<void> {
    const { region, agentId, log } = this.#options;
    this.#lookedForDeadAt = now;
    const agents = await forgetDeadAgents(kv, { region, agentId, afterMs: DEAD_AFTER_MS });
    if (agents.length > 0) log.info({ region, agents }, "agents that are no more are forgotten");
  }

  async #writeApplication(kv: KV, goal: Goal, now: number): Promise<void> {
    const { region, agentId } = this.#options;
    const { application } = goal;
    const count = this.#counts.of(goal);
    const before = this.#written.get(application);
    const changed = count.takeChanged() || before?.count !== count;
    const late = before === undefined || now - before.writtenAt >= REPEAT_MS;
    if (!changed && !late && before.rate.perSecond === 0) return;
    const counts = count.aggregate();
    const rate = before?.rate ?? new Rate();
    const bytesPerSecond = rate.update(counts.bytesFromPeers + counts.bytesFromSeeders, now);
    const status = RegionApplicationStatus.fromPartial({
      ...counts,
      region,
      agentId,
      bytesPerSecond,
      leaderTerm: this.#term,
    });
    const content = Buffer.from(RegionApplicationStatus.encode(status).finish());
    if (!late && before.content.equals(content)) {
      before.count = count;
      return;
    }
    // Counted as written only once it is, so that what failed is written at the next tick.
    this.#written.delete(application);
    status.time = new Date();
    const key = regionApplicationKey(region, agentId, application);
    await kv.put(key, RegionApplicationStatus.encode(status).finish());
    this.#written.set(application, { count, writtenAt: now, content, rate });
  }

  /** What agents counted that led before: out of date, and nobody else's to take away. */
  async #deleteOthers(kv: KV): Promise<void> {
    const { region, agentId } = this.#options;
    const stale: string[] = [];
    for (const { key } of await readHeaders(kv, regionApplicationKey(region, "*", "*"))) {
      if (!key.startsWith(regionApplicationKey(region, agentId, ""))) stale.push(key);
    }
    for (const key of stale) await kv.delete(key);
  }

  async #writeAgent(
    kv: KV,
    goals: ReadonlyMap<string, Goal>,
    leaderTerm: number,
    now: number,
  ): Promise<void> {
    const { region, agentId, table, keySetVersion, regionLink } = this.#options;
    const { self, alarm, twinHosts } = this.#options;
    const key = regionAgentKey(region, agentId);
    // Just before this agent's own sign of life: what is there is another's, if there is one.
    await this.#twins.look(kv, key, { now, signal: this.#controller.signal });
    alarm.take(this.#twins.others(now), now);
    const refusal = this.#options.refusal();
    const stale = [...goals.values()].filter((goal) => isStale(goal, Date.now()));
    const { hosts, silent } = table.counts(now);
    const status = RegionAgentStatus.fromPartial({
      region,
      agentId,
      time: new Date(),
      startTime: this.#startTime,
      warming: this.warming,
      hostCount: hosts,
      silentCount: silent,
      ahead: generationsAhead(goals, table.enrolled()),
      leaderTerm,
      staleGoalCount: stale.length,
      keySetVersion: keySetVersion(),
      regionNatsAwaySince: regionLink.awaySince,
      coordinatorRefusedSince: refusal?.since,
      coordinatorRefusal: refusal?.message.slice(0, REFUSAL_CHARACTERS) ?? "",
      coordinatorAwaySince: this.#options.coordinatorAwaySince(),
      process: self,
      twins: this.#twins.others(now),
      twinHostCount: twinHosts(),
    });
    await kv.put(key, RegionAgentStatus.encode(status).finish());
  }
}
