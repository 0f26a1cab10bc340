import { incarnationOf, Incarnations, RegionAgentStatus, type AgentProcess } from "@slipway/proto";
import type { KV } from "nats";
import type { Logger } from "../log.js";
import { readKey } from "../nats/read-headers.js";
import { pause } from "../pause.js";

const EVERY_MS = 6_000;
const WAIT_MS = 2_000;
const NAMELESS: AgentProcess = { incarnation: "", machine: "", address: "", pid: 0 };

/** Other processes that give their signs of life under this region agent's key. */
export class OwnTwins {
  readonly #self: AgentProcess;
  readonly #heard = new Incarnations<AgentProcess>();
  readonly #log: Logger;
  #lastSign = "";
  #lookedAt = Number.NEGATIVE_INFINITY;
  #looking = false;

  constructor(self: AgentProcess, log: Logger) {
    this.#self = self;
    this.#log = log;
  }

  /**
   * Looks who wrote the key last, if it is time to. That may be an earlier start of this agent, which
   * never writes it again: the same sign of life counts once. Nothing waits long for it, and if it
   * fails it is done again in its turn.
   */
  async look(
    kv: KV,
    key: string,
    { now, signal }: { now: number; signal: AbortSignal },
  ): Promise<void> {
    if (this.#looking || now - this.#lookedAt < EVERY_MS) return;
    this.#lookedAt = now;
    this.#looking = true;
    const looked = this.#read(kv, key, now)
      .catch((error: unknown) => {
        this.#log.debug({ err: error, key }, "who else is this agent cannot be read");
      })
      .finally(() => (this.#looking = false));
    const over = new AbortController();
    await Promise.race([looked, pause(WAIT_MS, AbortSignal.any([signal, over.signal]))]);
    over.abort();
  }

  others(now: number): AgentProcess[] {
    const twins = new Map(this.#heard.twins(now));
    twins.delete(this.#self.incarnation);
    return [...twins.values()];
  }

  async #read(kv: KV, key: string, now: number): Promise<void> {
    this.#heard.note(this.#self.incarnation, this.#self, now);
    const value = await readKey(kv, key);
    if (value === undefined) return;
    const status = RegionAgentStatus.decode(value);
    const { process, time } = status;
    const incarnation = incarnationOf(status);
    if (incarnation === this.#self.incarnation) return;
    const sign = `${incarnation} ${time?.getTime() ?? 0}`;
    if (sign === this.#lastSign) return;
    this.#lastSign = sign;
    this.#heard.note(incarnation, process ?? NAMELESS, now);
  }
}
