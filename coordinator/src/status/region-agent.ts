import {
  incarnationOf,
  Incarnations,
  type AgentProcess,
  type RegionAgentStatus,
  type RegionApplicationStatus,
} from "@slipway/proto";

/** A process that has said nothing for so long says nothing of now, in ms. */
export const AGENT_SILENT_AFTER_MS = 15_000;
/** Of one that keeps starting anew, the last. */
const MAX_PROCESSES = 8;
const NAMELESS: AgentProcess = { incarnation: "", machine: "", address: "", pid: 0 };

interface Said {
  status: RegionAgentStatus;
  /** By the coordinator's clock. */
  heardAt: number;
}

/**
 * What is said under a region agent's id. Several processes may say it, one having been started after
 * another or all at once as twins: each writes over the word of the others, so of each the last is kept.
 * At most one of them leads. Times are in milliseconds by the caller's clock.
 */
export class RegionAgent {
  /** What it counted, by application. */
  readonly applications = new Map<string, RegionApplicationStatus>();
  /** By process; who spoke last comes last. */
  readonly #said = new Map<string, Said>();
  readonly #processes = new Incarnations<AgentProcess>();

  put(status: RegionAgentStatus, heardAt: number): void {
    const name = incarnationOf(status);
    const before = this.#said.get(name)?.heardAt ?? heardAt;
    this.#said.delete(name);
    this.#said.set(name, { status, heardAt: Math.max(before, heardAt) });
    for (const [other, said] of this.#said) {
      const isOld = heardAt - said.heardAt > AGENT_SILENT_AFTER_MS;
      if (isOld || this.#said.size > MAX_PROCESSES) this.#said.delete(other);
    }
    this.#processes.note(name, status.process ?? NAMELESS, heardAt);
  }

  /** What each of its processes said that was heard lately: of one that was started anew the earlier too. */
  lately(now: number): RegionAgentStatus[] {
    return [...this.#said.values()]
      .filter(({ heardAt }) => now - heardAt <= AGENT_SILENT_AFTER_MS)
      .map(({ status }) => status);
  }

  /** The highest generation of an application that it heard hosts have above the goal's; 0 for none. */
  ahead(application: string): number {
    const ahead = [...this.#said.values()].flatMap(({ status }) => status.ahead);
    const generations = ahead.filter((item) => item.application === application);
    return Math.max(0, ...generations.map(({ generation }) => generation));
  }

  /**
   * What it said last, if it said anything; of twins what the one says that leads, if one does, and
   * whom it has for twins by its own word or by what was heard here.
   */
  latest(now: number): RegionAgentStatus | undefined {
    const last = [...this.#said.values()].at(-1)?.status;
    if (last === undefined) return undefined;
    const lately = this.lately(now);
    const twins = new Map(this.#processes.twins(now));
    for (const status of lately) {
      for (const twin of status.twins) twins.set(twin.incarnation, twin);
      // Its word on others is one on itself.
      if (status.twins.length > 0) twins.set(incarnationOf(status), status.process ?? NAMELESS);
    }
    if (twins.size === 0) return last;
    const leader = lately
      .filter((status) => status.leaderTerm > 0 && twins.has(incarnationOf(status)))
      .sort((a, b) => b.leaderTerm - a.leaderTerm)[0];
    const status = leader ?? last;
    twins.delete(incarnationOf(status));
    return { ...status, twins: [...twins.values()] };
  }
}
