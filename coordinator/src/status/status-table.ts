import type {
  Region,
  RegionAgentStatus,
  RegionApplicationStatus,
  RegionProgress,
} from "@slipway/proto";
import { Hearing } from "./hearing.js";
import { RegionAgent } from "./region-agent.js";

/** Called with the application that changed; undefined when any may have. */
export type StatusListener = (application: string | undefined) => void;

/** How far a region can be judged by, in the order of preference. */
type Trust = "live" | "warming" | "silent";

/**
 * The newest that each region agent said, in memory. One agent of a region leads, and counts its
 * hosts; without one that was heard lately the region is silent. What was counted under the highest
 * term holds, and whether that can be judged by is up to the agent that leads.
 */
export class StatusTable {
  /** Whether what agents say would be heard. */
  readonly hearing: Hearing;
  /** By region, then agent id. */
  readonly #regions = new Map<string, Map<string, RegionAgent>>();
  readonly #listeners = new Set<StatusListener>();
  readonly #now: () => number;
  /** What was last said of each region's trust, to tell a change. */
  #trust = new Map<string, Trust>();
  #wasUnheard = false;

  constructor(now: () => number) {
    this.#now = now;
    this.hearing = new Hearing(now());
  }

  /**
   * Since when this coordinator has heard nothing of regions; undefined while it hears. After an outage
   * all of them are given some seconds to be heard again.
   */
  get unheardSince(): Date | undefined {
    const now = this.#now();
    let since = this.hearing.unheardSince(now);
    if (since === undefined && this.#isAnySilent()) since = this.hearing.returningSince(now);
    return since === undefined ? undefined : new Date(since);
  }

  /** Calls the listener after every change that counts. Answers how to stop that. */
  subscribe(listener: StatusListener): () => void {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  }

  /** Takes an agent's sign of life. `heardAt` is by the coordinator's clock. */
  putAgent(status: RegionAgentStatus, heardAt: number): void {
    this.#agent(status.region, status.agentId).put(status, heardAt);
    this.sweep();
  }

  /** Takes an agent's aggregate of one application. */
  putApplication(status: RegionApplicationStatus): void {
    const { region, agentId, application } = status;
    const agent = this.#agent(region, agentId);
    agent.applications.set(application, status);
    this.#changed(application);
  }

  /** Forgets an agent, or what it said of one application. */
  remove(region: string, agentId: string, application?: string): void {
    const agents = this.#regions.get(region);
    if (application === undefined) agents?.delete(agentId);
    else agents?.get(agentId)?.applications.delete(application);
    if (agents?.size === 0) this.#regions.delete(region);
    this.#changed(application);
  }

  /** Notices regions that have become silent, and not hearing any; to be called about once a second. */
  sweep(): void {
    const trust = new Map([...this.#regions.keys()].map((name) => [name, this.#trustOf(name)]));
    const same =
      trust.size === this.#trust.size &&
      [...trust].every(([name, value]) => this.#trust.get(name) === value);
    this.#trust = trust;
    const isUnheard = this.unheardSince !== undefined;
    const isSame = same && isUnheard === this.#wasUnheard;
    this.#wasUnheard = isUnheard;
    if (!isSame) this.#changed(undefined);
  }

  /** How far each of the regions is with a generation of an application. */
  progress(application: string, generation: number, regions: readonly string[]): RegionProgress[] {
    return regions.map((region) => {
      const trust = this.#trustOf(region);
      const status = this.#agentsOf(region)
        .map((agent) => agent.applications.get(application))
        .filter((item) => item?.generation === generation)
        .sort((a, b) => term(b) - term(a) || time(b) - time(a))[0];
      return {
        region,
        silent: trust === "silent",
        warming: trust === "warming",
        status,
        bucketLimit: 0,
        replication: 0,
        natsAwaySince: this.#natsAwaySince(region),
      };
    });
  }

  /** The highest generation of an application that any agent or host knows of; 0 for none. */
  highestGeneration(application: string): number {
    let highest = 0;
    for (const agents of this.#regions.values()) {
      for (const agent of agents.values()) {
        const ahead = agent.ahead(application);
        const counted = agent.applications.get(application)?.generation ?? 0;
        highest = Math.max(highest, ahead, counted);
      }
    }
    return highest;
  }

  /** The regions that any agent was ever heard of in. */
  regions(): string[] {
    return [...this.#regions.keys()].sort();
  }

  /** A region's agents by id, whether none that leads it is heard, and if for want of its NATS. */
  region(name: string): Pick<Region, "agents" | "silent" | "natsAwaySince"> {
    const agents = this.#agentsOf(name)
      .map((agent) => agent.latest(this.#now()))
      .filter((status) => status !== undefined)
      .sort((a, b) => (a.agentId < b.agentId ? -1 : 1));
    const silent = this.#trustOf(name) === "silent";
    return { agents, silent, natsAwaySince: this.#natsAwaySince(name) };
  }

  /**
   * Region agents that other processes say they are as well, and hosts by the agents' word: of agents
   * of a region that hear differently many the one that hears of most.
   */
  twins(): { region: number; host: number } {
    const counts = { region: 0, host: 0 };
    for (const name of this.#regions.keys()) {
      const now = this.#now();
      const heard = this.#agentsOf(name)
        .filter((agent) => agent.lately(now).length > 0)
        .map((agent) => agent.latest(now))
        .filter((status) => status !== undefined);
      counts.region += heard.filter(({ twins }) => twins.length > 0).length;
      counts.host += Math.max(0, ...heard.map(({ twinHostCount }) => twinHostCount));
    }
    return counts;
  }

  #agentsOf(region: string): RegionAgent[] {
    return [...(this.#regions.get(region)?.values() ?? [])];
  }

  /** An aggregate may arrive before the agent's sign of life: not judged by until then. */
  #agent(region: string, agentId: string): RegionAgent {
    const agents = this.#regions.get(region) ?? new Map<string, RegionAgent>();
    this.#regions.set(region, agents);
    const agent = agents.get(agentId) ?? new RegionAgent();
    agents.set(agentId, agent);
    return agent;
  }

  /** What those processes say that were heard lately. */
  #heard(region: string): RegionAgentStatus[] {
    return this.#agentsOf(region).flatMap((agent) => agent.lately(this.#now()));
  }

  /** Since when the last of them does not reach the region's NATS; undefined if any reaches it. */
  #natsAwaySince(region: string): Date | undefined {
    const since = this.#heard(region).map(({ regionNatsAwaySince }) => regionNatsAwaySince);
    if (since.length === 0 || since.includes(undefined)) return undefined;
    return new Date(Math.max(...since.map(Number)));
  }

  #isAnySilent(): boolean {
    return [...this.#regions.keys()].some((name) => this.#trustOf(name) === "silent");
  }

  #trustOf(region: string): Trust {
    const [leader] = this.#heard(region)
      .filter(({ leaderTerm }) => leaderTerm > 0)
      .sort((a, b) => b.leaderTerm - a.leaderTerm);
    if (leader === undefined) return "silent";
    return leader.warming ? "warming" : "live";
  }

  #changed(application: string | undefined): void {
    for (const listener of this.#listeners) listener(application);
  }
}

function term(status: RegionApplicationStatus | undefined): number {
  return status?.leaderTerm ?? 0;
}

function time(status: RegionApplicationStatus | undefined): number {
  return status?.time?.getTime() ?? 0;
}
