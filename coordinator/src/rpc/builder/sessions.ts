import { Incarnations, type AgentProcess } from "@slipway/proto";
import { aborted } from "../../errors.js";

/** Builder ids that are remembered; beyond it those that had no stream for longest are forgotten. */
const MAX_REMEMBERED = 10_000;
const TELL_EVERY_MS = 60_000;
/** More than any builder says of itself: it is kept, and said to the other one. */
const MAX_TEXT = 256;
const NAMELESS: AgentProcess = { incarnation: "", machine: "", address: "", pid: 0 };

/** The builders that have a stream here: one stream each, the newest. */
export class BuilderSessions {
  readonly #ends = new Map<string, (error: Error) => void>();
  /** Whose streams there were lately. */
  readonly #processes = new Map<string, Incarnations<AgentProcess>>();
  readonly #toldAt = new Map<string, number>();
  readonly #now: () => number;

  constructor(now: () => number = () => performance.now()) {
    this.#now = now;
  }

  get size(): number {
    return this.#ends.size;
  }

  /** Of those builders. */
  get ids(): string[] {
    return [...this.#ends.keys()];
  }

  /** Builders that several processes say they are, each ending the other's stream. */
  get twins(): number {
    const now = this.#now();
    return [...this.#processes.values()].filter((heard) => heard.twins(now).size > 0).length;
  }

  /** The processes that say they are this builder, if there are several; told once a minute. */
  tellTwins(builderId: string): AgentProcess[] {
    const now = this.#now();
    const twins = [...(this.#processes.get(builderId)?.twins(now).values() ?? [])];
    const toldAt = this.#toldAt.get(builderId) ?? Number.NEGATIVE_INFINITY;
    if (twins.length === 0 || now - toldAt < TELL_EVERY_MS) return [];
    this.#toldAt.set(builderId, now);
    return twins;
  }

  /** Ends the builder's stream, if it has one. */
  end(builderId: string, error: Error): void {
    this.#ends.get(builderId)?.(error);
  }

  /** Registers a stream in the place of the builder's older one. Answers how to take it out. */
  open(builderId: string, end: (error: Error) => void, said: AgentProcess = NAMELESS): () => void {
    const process = shortened(said);
    this.#remember(builderId, process);
    this.#ends.get(builderId)?.(
      aborted(
        "STREAM_REPLACED",
        `builder ${builderId} opened another stream${placeOf(process)}: each builder needs an id of its own`,
      ),
    );
    this.#ends.set(builderId, end);
    return () => {
      if (this.#ends.get(builderId) === end) this.#ends.delete(builderId);
    };
  }

  #remember(builderId: string, process: AgentProcess): void {
    const heard = this.#processes.get(builderId) ?? new Incarnations();
    this.#processes.delete(builderId);
    this.#processes.set(builderId, heard);
    heard.note(process.incarnation, process, this.#now());
    if (this.#processes.size <= MAX_REMEMBERED) return;
    const [oldest] = this.#processes.keys();
    if (oldest === undefined) return;
    this.#processes.delete(oldest);
    this.#toldAt.delete(oldest);
  }
}

function shortened({ incarnation, machine, address, pid }: AgentProcess): AgentProcess {
  const [a = "", b = "", c = ""] = [incarnation, machine, address].map((text) =>
    text.slice(0, MAX_TEXT),
  );
  return { incarnation: a, machine: b, address: c, pid };
}

function placeOf({ machine, pid }: AgentProcess): string {
  return machine === "" ? "" : ` from ${machine} (process ${pid})`;
}
