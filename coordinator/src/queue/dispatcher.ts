import type { Logger } from "pino";
import type { Service } from "../context.js";
import type { EventBus } from "../events.js";
import { backoffMs } from "../retry.js";
import { Wake } from "../wake.js";
import { assignSlots } from "./assign-slots.js";
import type { BuildQueue, LeasedBuild } from "./queue.js";

export interface DispatcherOptions {
  queue: Pick<BuildQueue, "lease" | "release">;
  events: EventBus;
  /** How often to look for builds if no signal came. */
  pollIntervalMs: number;
  log: Logger;
  /** Told when a builder is seated or leaves. */
  onSeats?: (() => void) | undefined;
}

/** A builder's place among those that wait. */
export interface Seat {
  /** How many builds it takes now; replaces what was said before. */
  setFree(slots: number): void;
  /** Takes no more builds. May be called twice. */
  leave(): void;
}

interface Waiting {
  builderId: string;
  free: number;
  deliver(build: LeasedBuild): boolean;
}

const MAX_BATCH = 500;

/** Leases builds for all builders that wait here, with one statement at a time. */
export class Dispatcher implements Service {
  readonly #options: DispatcherOptions;
  /** In order of whose turn it is. */
  readonly #seats = new Map<string, Waiting>();
  readonly #wake = new Wake();
  readonly #stop = new AbortController();
  #unsubscribe: (() => void) | undefined;
  #running: Promise<void> | undefined;

  constructor(options: DispatcherOptions) {
    this.#options = options;
  }

  start(): void {
    if (this.#stop.signal.aborted || this.#running !== undefined) return;
    this.#unsubscribe = this.#options.events.subscribe("queue", () => this.#wake.signal());
    this.#running = this.#run();
  }

  async stop(): Promise<void> {
    this.#unsubscribe?.();
    this.#stop.abort();
    await this.#running;
  }

  /** Of those that are seated. */
  get builderIds(): string[] {
    return [...this.#seats.keys()];
  }

  /**
   * Seats a builder, in the place of an earlier one of the same id.
   * @param deliver answers false if the builder can't be told any more.
   */
  seat(builderId: string, deliver: (build: LeasedBuild) => boolean): Seat {
    const waiting: Waiting = { builderId, free: 0, deliver };
    this.#seats.delete(builderId);
    this.#seats.set(builderId, waiting);
    this.#options.onSeats?.();
    return {
      setFree: (slots) => {
        waiting.free = slots;
        if (slots > 0) this.#wake.signal();
      },
      leave: () => {
        waiting.free = 0;
        if (this.#seats.get(builderId) !== waiting) return;
        this.#seats.delete(builderId);
        this.#options.onSeats?.();
      },
    };
  }

  async #run(): Promise<void> {
    const { signal } = this.#stop;
    const { pollIntervalMs, log } = this.#options;
    for (let failures = 0; !signal.aborted;) {
      let pause = pollIntervalMs * (0.8 + Math.random() * 0.4);
      try {
        while (await this.#leaseOnce()) signal.throwIfAborted();
        failures = 0;
      } catch (error) {
        if (signal.aborted) return;
        failures += 1;
        log.warn({ err: error, failures }, "leasing builds failed; trying again");
        pause = backoffMs(failures, { firstMs: 100, maxMs: 5_000 });
      }
      await this.#wake.next({ timeoutMs: pause, signal }).catch(() => undefined);
    }
  }

  /** Answers whether there may be more to do at once. */
  async #leaseOnce(): Promise<boolean> {
    const wanted = assignSlots([...this.#seats.values()], MAX_BATCH);
    if (wanted.length === 0) return false;
    const builds = await this.#options.queue.lease(wanted);
    const undelivered = builds.filter((build) => !this.#deliver(build));
    if (undelivered.length > 0) await this.#options.queue.release(undelivered);
    return builds.length === wanted.length;
  }

  #deliver(build: LeasedBuild): boolean {
    const seat = this.#seats.get(build.builderId);
    if (seat === undefined || this.#stop.signal.aborted) return false;
    if (!seat.deliver(build)) {
      // Or its builds would be leased and released again for ever.
      seat.free = 0;
      return false;
    }
    seat.free = Math.max(0, seat.free - 1);
    this.#seats.delete(build.builderId);
    this.#seats.set(build.builderId, seat);
    return true;
  }
}
