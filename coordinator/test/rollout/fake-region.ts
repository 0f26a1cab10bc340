import {
  RegionAgentStatus,
  regionAgentKey,
  regionApplicationKey,
  RegionApplicationStatus,
  type HostFailureReason,
  type HostPhase,
} from "@slipway/proto";
import type { KV, NatsConnection } from "nats";
import { openStatusBucket } from "../../src/status/status-watcher.js";

/** What a region's agent says of an application. */
export interface Report {
  application: string;
  generation: number;
  phases: readonly (readonly [HostPhase, number])[];
  silentCount?: number;
  failures?: readonly (readonly [host: string, reason: HostFailureReason, message: string])[];
}

/** Writes to the status bucket what a region agent would. */
export class FakeRegion {
  readonly #bucket: KV;
  readonly #region: string;
  readonly #agentId: string;
  readonly #timer: NodeJS.Timeout;
  #warming = false;
  #ahead: { application: string; generation: number }[] = [];

  private constructor(bucket: KV, region: string, agentId: string) {
    this.#bucket = bucket;
    this.#region = region;
    this.#agentId = agentId;
    this.#timer = setInterval(() => void this.beat().catch(() => undefined), 1_000);
  }

  static async start(nats: NatsConnection, region: string): Promise<FakeRegion> {
    const fake = new FakeRegion(await openPatiently(nats), region, `${region}-1`);
    await fake.beat();
    return fake;
  }

  stop(): void {
    clearInterval(this.#timer);
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

  async beat(): Promise<void> {
    const status = RegionAgentStatus.fromPartial({
      region: this.#region,
      agentId: this.#agentId,
      time: new Date(),
      warming: this.#warming,
      ahead: this.#ahead,
      leaderTerm: 1,
    });
    const value = RegionAgentStatus.encode(status).finish();
    await this.#bucket.put(regionAgentKey(this.#region, this.#agentId), value);
  }

  async report({ application, generation, phases, silentCount = 0, failures = [] }: Report) {
    const status = RegionApplicationStatus.fromPartial({
      region: this.#region,
      agentId: this.#agentId,
      application,
      generation,
      time: new Date(),
      hostCount: phases.reduce((all, [, count]) => all + count, 0),
      phases: phases.map(([phase, count]) => ({ phase, count })),
      silentCount,
      failures: failures.map(([hostId, reason, message]) => ({
        hostId,
        failure: { reason, message },
      })),
    });
    const key = regionApplicationKey(this.#region, this.#agentId, application);
    await this.#bucket.put(key, RegionApplicationStatus.encode(status).finish());
  }
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
