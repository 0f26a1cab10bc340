import { digestToBytes } from "../store/manifest.js";
import type { Peer } from "./peer.js";
import type { Withdraw } from "./asking.js";
import type { Scheduler } from "./scheduler.js";

const TICK_MS = 100;

export interface DispatchOptions {
  scheduler: Scheduler;
  peer: (id: string) => Peer | undefined;
  /** Now and then while something is fetched. */
  onTick: () => void;
}

/** Carries out what the scheduler decides, when it may have changed its mind. */
export class Dispatch {
  readonly #options: DispatchOptions;
  #ticks: NodeJS.Timeout | undefined;
  #alarm: NodeJS.Timeout | undefined;
  #scheduled = false;
  #closed = false;

  constructor(options: DispatchOptions) {
    this.#options = options;
  }

  /** Something is fetched now. */
  start(): void {
    this.#ticks ??= setInterval(() => this.#tick(), TICK_MS);
  }

  /** Nothing is fetched any more. */
  rest(): void {
    clearInterval(this.#ticks);
    clearTimeout(this.#alarm);
    this.#ticks = undefined;
  }

  close(): void {
    this.#closed = true;
    this.rest();
  }

  /** Asks soon, once for all that happens meanwhile. */
  schedule(): void {
    if (this.#scheduled || this.#closed || !this.#options.scheduler.active) return;
    this.#scheduled = true;
    setImmediate(() => {
      this.#scheduled = false;
      this.#ask();
    });
  }

  withdraw(withdrawn: readonly Withdraw[]): void {
    for (const { peer, requestId } of withdrawn) this.#options.peer(peer)?.withdraw(requestId);
  }

  #tick(): void {
    this.withdraw(this.#options.scheduler.expire(performance.now()));
    this.#options.onTick();
    this.#ask();
  }

  #ask(): void {
    clearTimeout(this.#alarm);
    if (this.#closed) return;
    const { scheduler, peer } = this.#options;
    const now = performance.now();
    for (const { peer: id, request } of scheduler.next(now)) {
      peer(id)?.ask({ ...request, artifact: digestToBytes(request.artifact) });
    }
    const at = scheduler.wakeAt(now);
    if (at !== undefined) this.#alarm = setTimeout(() => this.#ask(), at - now);
  }
}
