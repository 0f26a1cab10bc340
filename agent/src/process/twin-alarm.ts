import type { AgentProcess } from "@slipway/proto";
import type { Logger } from "../log.js";
import { describeProcess } from "./this-process.js";

const REPEAT_MS = 60_000;
/** Longer than whoever says it waits before it says it again. */
const OVER_AFTER_MS = 60_000;
const SAID =
  "another process has this agent's identity, and both are less than one: stop one of the two, and " +
  "give it an id, an identity and a data directory of its own (a copied data directory has neither)";

/** Says loudly, and once a minute while it is so, that others have this agent's identity. */
export class TwinAlarm {
  readonly #own: string;
  readonly #log: Logger;
  #names: string[] = [];
  #saidAt = Number.NEGATIVE_INFINITY;
  #heardAt = Number.NEGATIVE_INFINITY;

  constructor({ incarnation }: AgentProcess, log: Logger) {
    this.#own = incarnation;
    this.#log = log;
  }

  /** How many others there are. */
  count(now: number): number {
    return now - this.#heardAt > OVER_AFTER_MS ? 0 : this.#names.length;
  }

  /** Those that have the identity, itself among them or not; none when all is well. */
  take(processes: readonly AgentProcess[], now: number): void {
    const others = processes.filter(({ incarnation }) => incarnation !== this.#own);
    const names = others.map(describeProcess).sort();
    if (names.length === 0) {
      if (this.count(now) > 0) this.#log.info("this agent's identity is its alone again");
      this.#names = [];
      return;
    }
    const same = this.count(now) > 0 && names.join() === this.#names.join();
    this.#names = names;
    this.#heardAt = now;
    if (same && now - this.#saidAt < REPEAT_MS) return;
    this.#saidAt = now;
    this.#log.error({ others: names }, SAID);
  }
}
