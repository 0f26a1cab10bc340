import {
  ApplicationGoal,
  GLOBAL_GOALS_BUCKET,
  Goal,
  HostPhase,
  RegionAgentStatus,
  regionAgentKey,
  regionApplicationKey,
  RegionApplicationStatus,
  type HostFailureReason,
} from "@slipway/proto";
import type { KV, NatsConnection } from "nats";
import { openStatusBucket } from "../../src/status/status-watcher.js";

const FOLLOW_INTERVAL_MS = 50;

/** What hosts of a region come to, once they are told to switch. */
export interface Report {
  application: string;
  generation: number;
  phases: readonly (readonly [HostPhase, number])[];
  /** Of these hosts, the last ones. */
  silentCount?: number;
  /** Of those that run, the first ones, which keep exiting. */
  unsteadyCount?: number;
  failures?: readonly (readonly [host: string, reason: HostFailureReason, message: string])[];
  bytes?: { done: number; total: number; perSecond: number };
}

/**
 * Writes to the status bucket what a region agent would, whose hosts do what a test says, each when
 * the goal takes it: their buckets are spread evenly, the first host's is 0.
 */
export class FakeRegion {
  readonly #bucket: KV;
  readonly #goals: KV;
  readonly #region: string;
  readonly #agentId: string;
  readonly #timers: NodeJS.Timeout[];
  /** By application: what was reported last, and by which limit. */
  readonly #reports = new Map<string, { report: Report; limit: number }>();
  #warming = false;
  #ahead: { application: string; generation: number }[] = [];
  #following = false;
  #natsAwaySince: Date | undefined;

  private constructor(bucket: KV, goals: KV, region: string) {
    this.#bucket = bucket;
    this.#goals = goals;
    this.#region = region;
    this.#agentId = `${region}-1`;
    this.#timers = [
      setInterval(() => void this.beat().catch(() => undefined), 1_000),
      setInterval(() => {
        if (!this.#following) void this.#follow();
      }, FOLLOW_INTERVAL_MS),
    ];
  }

  static async start(nats: NatsConnection, region: string): Promise<FakeRegion> {
    const goals = await nats.jetstream().views.kv(GLOBAL_GOALS_BUCKET, { history: 1 });
    const fake = new FakeRegion(await openPatiently(nats), goals, region);
    await fake.beat();
    return fake;
  }

  stop(): void {
    for (const timer of this.#timers) clearInterval(timer);
  }

  /** Says that hosts know of a higher generation than the goal's. */
  async ahead(application: string, generation: number): Promise<void> {
    this.#ahead = [{ application, generation }];
    await this.beat();
  }

  async warming(warming: boolean): Promise<void> {
    this.#warming = warming;
    await this.beat();
  }

  /** Says since when it does not reach its region's NATS: nobody leads then. */
  async natsAway(since: Date | undefined): Promise<void> {
    this.#natsAwaySince = since;
    await this.beat();
  }

  async beat(): Promise<void> {
    const status = RegionAgentStatus.fromPartial({
      region: this.#region,
      agentId: this.#agentId,
      time: new Date(),
      warming: this.#warming,
      ahead: this.#ahead,
      leaderTerm: this.#natsAwaySince === undefined ? 1 : 0,
      regionNatsAwaySince: this.#natsAwaySince,
    });
    const value = RegionAgentStatus.encode(status).finish();
    await this.#bucket.put(regionAgentKey(this.#region, this.#agentId), value);
  }

  /** Counts the hosts by the present goal, and again whenever its limit rises. */
  async report(report: Report): Promise<void> {
    await this.#say(report, await this.#limitOf(report).catch(() => 0));
  }

  /** The limit in the bucket; 0 for a goal that is not there. */
  async #limitOf({ application, generation }: Report): Promise<number> {
    const entry = await this.#goals.get(application);
    if (entry?.operation !== "PUT") return 0;
    const goal = ApplicationGoal.decode(entry.value);
    const signed = goal.generation === generation ? goal.regions[this.#region] : undefined;
    return signed === undefined ? 0 : Goal.decode(signed.payload).bucketLimit;
  }

  async #follow(): Promise<void> {
    this.#following = true;
    for (const [application, { report, limit }] of this.#reports) {
      if (limit >= 10_000) continue;
      try {
        const present = await this.#limitOf(report);
        const same = this.#reports.get(application)?.report === report;
        if (present > limit && same) await this.#say(report, present);
      } catch {
        // NATS is away; tried again.
      }
    }
    this.#following = false;
  }

  async #say(report: Report, limit: number): Promise<void> {
    this.#reports.set(report.application, { report, limit });
    const { application } = report;
    const status = { ...countReport(report, limit), region: this.#region, agentId: this.#agentId };
    const key = regionApplicationKey(this.#region, this.#agentId, application);
    await this.#bucket.put(key, RegionApplicationStatus.encode(status).finish());
  }
}

/** What a region's agent says of the hosts of a report while the goal has the limit. */
export function countReport(report: Report, limit: number): RegionApplicationStatus {
  const { application, generation, phases, failures = [], bytes } = report;
  const wishes = phases.flatMap(([phase, count]) => Array<HostPhase>(count).fill(phase));
  const hosts = wishes.map((wish, index) => {
    const bucket = Math.floor((index * 10_000) / wishes.length);
    const chosen = bucket < limit;
    const silent = index >= wishes.length - (report.silentCount ?? 0);
    const staged = wish !== HostPhase.STAGING && wish !== HostPhase.PENDING;
    return { bucket, chosen, silent, staged, phase: chosen || !staged ? wish : HostPhase.HELD };
  });
  const chosen = hosts.filter((host) => host.chosen);
  const settled = [HostPhase.RUNNING, HostPhase.FAILED];
  const running = chosen.filter(({ phase }) => phase === HostPhase.RUNNING).length;
  return RegionApplicationStatus.fromPartial({
    application,
    generation,
    time: new Date(),
    hostCount: hosts.length,
    phases: countPhases(hosts),
    silentCount: hosts.filter(({ silent }) => silent).length,
    stagedCount: hosts.filter(({ staged }) => staged).length,
    unstagedCount: hosts.filter(({ staged, silent }) => !staged && !silent).length,
    bucketLimit: limit,
    chosenCount: chosen.length,
    chosenPhases: countPhases(chosen),
    chosenSilentCount: chosen.filter(({ silent }) => silent).length,
    chosenUnsteadyCount: Math.min(running, report.unsteadyCount ?? 0),
    chosenUnsettledCount: chosen.filter(({ phase, silent }) => !silent && !settled.includes(phase))
      .length,
    nextBucket: hosts.find((host) => !host.chosen)?.bucket ?? 10_000,
    failures: failures.map(([hostId, reason, message]) => ({
      hostId,
      failure: { reason, message },
    })),
    bytesDone: bytes?.done ?? 0,
    bytesTotal: bytes?.total ?? 0,
    bytesPerSecond: bytes?.perSecond ?? 0,
  });
}

function countPhases(hosts: readonly { phase: HostPhase }[]) {
  const counts = new Map<HostPhase, number>();
  for (const { phase } of hosts) counts.set(phase, (counts.get(phase) ?? 0) + 1);
  return [...counts].map(([phase, count]) => ({ phase, count }));
}

/** On a busy machine a new server's first bucket may take longer than a coordinator waits at once. */
async function openPatiently(nats: NatsConnection): Promise<KV> {
  for (let tries = 1; ; tries++) {
    try {
      return await openStatusBucket(nats);
    } catch (error) {
      if (tries === 5) throw error;
    }
  }
}
