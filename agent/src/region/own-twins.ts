import { Incarnations, RegionAgentStatus, type AgentProcess } from "@slipway/proto";
import type { KV } from "nats";
import { readKey } from "../nats/read-headers.js";

const NAMELESS: AgentProcess = { incarnation: "", machine: "", address: "", pid: 0 };

/** Other processes that give their signs of life under this region agent's key. */
export class OwnTwins {
  readonly #self: AgentProcess;
  readonly #heard = new Incarnations<AgentProcess>();
  #lastSign = "";

  constructor(self: AgentProcess) {
    this.#self = self;
  }

  /**
   * Looks who wrote the key last. That may be an earlier start of this agent, which never writes it
   * again: the same sign of life counts once. @throws Error if it cannot be read in time
   */
  async look(kv: KV, key: string, now: number): Promise<void> {
    this.#heard.note(this.#self.incarnation, this.#self, now);
    const value = await readKey(kv, key);
    if (value === undefined) return;
    const { process, time, startTime } = RegionAgentStatus.decode(value);
    // Agents of earlier versions say only when they started.
    const incarnation = process?.incarnation ?? `started ${startTime?.getTime() ?? 0}`;
    if (incarnation === this.#self.incarnation) return;
    const sign = `${incarnation} ${time?.getTime() ?? 0}`;
    if (sign === this.#lastSign) return;
    this.#lastSign = sign;
    this.#heard.note(incarnation, process ?? NAMELESS, now);
  }

  others(now: number): AgentProcess[] {
    const twins = new Map(this.#heard.twins(now));
    twins.delete(this.#self.incarnation);
    return [...twins.values()];
  }
}
