import { setTimeout as delay } from "node:timers/promises";
import {
  RegionAgentStatus,
  RegionApplicationStatus,
  regionAgentKey,
  regionApplicationKey,
  STATUS_BUCKET,
  type Goal,
} from "@slipway/proto";
import type { KV } from "nats";
import type { Logger } from "../log.js";
import type { NatsLink } from "../nats/link.js";
import { aggregateApplication, generationsAhead } from "./aggregate.js";
import type { HostTable } from "./host-table.js";
import { Rate } from "./rate.js";

/** Counts are written at most twice a second. */
const TICK_MS = 500;
const AGENT_EVERY_MS = 2_000;
/** Counts are taken and written at least this often. */
const REPEAT_MS = 10_000;
/** Hosts report their whole state every 10 s, so after two of these the counts mean something. */
const WARMING_MS = 20_000;
const REQUEST_TIMEOUT_MS = 3_000;

interface StatusWriterOptions {
  link: NatsLink;
  region: string;
  agentId: string;
  table: HostTable;
  goals: () => ReadonlyMap<string, Goal>;
  /** Whether the persisted enrolment has been read. */
  enrolmentKnown: () => boolean;
  log: Logger;
}

interface Written {
  generation: number;
  countedAt: number;
  writtenAt: number;
  content: Buffer;
  rate: Rate;
}

/** Writes the region's counts, and this agent's sign of life, to the global status bucket. */
export class StatusWriter {
  readonly #options: StatusWriterOptions;
  readonly #controller = new AbortController();
  readonly #startTime = new Date();
  readonly #startedAt = performance.now();
  readonly #written = new Map<string, Written>();
  #agentAt = Number.NEGATIVE_INFINITY;
  #warm = false;
  #loop: Promise<void> | undefined;

  constructor(options: StatusWriterOptions) {
    this.#options = options;
  }

  /** Whether this agent has not listened for long enough for its counts to be judged by. */
  get warming(): boolean {
    if (this.#warm) return false;
    const { enrolmentKnown, table } = this.#options;
    const listenedMs = performance.now() - this.#startedAt;
    this.#warm =
      enrolmentKnown() &&
      (listenedMs >= WARMING_MS || table.counts(performance.now()).unheard === 0);
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
      await delay(TICK_MS, undefined, { signal, ref: false }).catch(() => {
        // Stopped: the loop's condition ends it.
      });
    }
  }

  async #tick(kv: KV, now: number): Promise<void> {
    const goals = this.#options.goals();
    if (now - this.#agentAt >= AGENT_EVERY_MS) {
      await this.#writeAgent(kv, goals, now);
      this.#agentAt = now;
    }
    const dirty = this.#options.table.takeDirty();
    for (const goal of goals.values()) {
      const before = this.#written.get(goal.application);
      const due =
        before === undefined ||
        before.generation !== goal.generation ||
        before.rate.perSecond > 0 ||
        now - before.countedAt >= REPEAT_MS ||
        dirty === undefined ||
        dirty.has(goal.application);
      if (due) await this.#writeApplication(kv, goal, before, now);
    }
  }

  async #writeApplication(
    kv: KV,
    goal: Goal,
    before: Written | undefined,
    now: number,
  ): Promise<void> {
    const { region, agentId, table } = this.#options;
    const { application, generation } = goal;
    const counts = aggregateApplication(goal, table.enrolled(), now);
    const rate = before?.rate ?? new Rate();
    const bytesPerSecond = rate.update(counts.bytesFromPeers + counts.bytesFromSeeders, now);
    const status = RegionApplicationStatus.fromPartial({
      ...counts,
      region,
      agentId,
      bytesPerSecond,
    });
    const content = Buffer.from(RegionApplicationStatus.encode(status).finish());
    const same = before?.content.equals(content) ?? false;
    if (same && before !== undefined && now - before.writtenAt < REPEAT_MS) {
      before.countedAt = now;
      return;
    }
    // Counted as written only once it is, so that what failed is written at the next tick.
    this.#written.delete(application);
    status.time = new Date();
    const key = regionApplicationKey(region, agentId, application);
    await kv.put(key, RegionApplicationStatus.encode(status).finish());
    this.#written.set(application, { generation, countedAt: now, writtenAt: now, content, rate });
  }

  async #writeAgent(kv: KV, goals: ReadonlyMap<string, Goal>, now: number): Promise<void> {
    const { region, agentId, table } = this.#options;
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
    });
    await kv.put(regionAgentKey(region, agentId), RegionAgentStatus.encode(status).finish());
  }
}
