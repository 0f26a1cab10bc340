import { type RateLimits, RateLimiter } from "./rate-limiter.js";
import { type RoomLimits, WaitingRoom } from "./waiting-room.js";

export interface DoorLimits {
  /** New connections; undefined: others see to that. */
  rate?: RateLimits;
  /** Connections on which nobody has been let in yet. */
  room: RoomLimits;
  /** Milliseconds until somebody must have been let in; undefined: others see to that. */
  proveMs?: number | undefined;
}

/**
 * Why a connection was closed: "rate", there were too many new ones; "crowded", others came and it had
 * not said who it is; "late", it had not when its time was over.
 */
export type DoorRefusal = "rate" | "crowded" | "late";

export interface DoorOptions<Guest> {
  limits: DoorLimits;
  /** Closes a connection that was let in before; not called for "rate". */
  close: (guest: Guest) => void;
  onRefused: (reason: DoorRefusal) => void;
}

/** Bounds what connections cost on which nobody has proved who they are, for servers of any kind. */
export class Door<Guest> {
  readonly #options: DoorOptions<Guest>;
  readonly #rates: RateLimiter | undefined;
  readonly #room: WaitingRoom<Guest>;
  readonly #timers = new Map<Guest, NodeJS.Timeout>();

  constructor(options: DoorOptions<Guest>) {
    this.#options = options;
    const { rate } = options.limits;
    this.#rates = rate && new RateLimiter(rate);
    this.#room = new WaitingRoom(options.limits.room);
  }

  /** False: there are too many; the caller closes it. Else it waits here until it leaves. */
  enter(guest: Guest, address: string): boolean {
    if (this.#rates?.allow(address, performance.now()) === false) {
      this.#options.onRefused("rate");
      return false;
    }
    const leaving = this.#room.enter(guest, address);
    if (leaving !== undefined) this.#refuse(leaving, "crowded");
    const { proveMs } = this.#options.limits;
    if (proveMs !== undefined) {
      const late = (): void => {
        this.#room.leave(guest);
        this.#refuse(guest, "late");
      };
      this.#timers.set(guest, setTimeout(late, proveMs));
    }
    return true;
  }

  /** Somebody was let in over it, or it is closed. Whether it was waiting. */
  leave(guest: Guest): boolean {
    clearTimeout(this.#timers.get(guest));
    this.#timers.delete(guest);
    return this.#room.leave(guest);
  }

  has(guest: Guest): boolean {
    return this.#room.has(guest);
  }

  /** In the order in which they came. */
  waiting(): Iterable<Guest> {
    return this.#room.guests();
  }

  /** Connections that wait. */
  get size(): number {
    return this.#room.size;
  }

  /** Nobody is thrown out any more. */
  stop(): void {
    for (const timer of this.#timers.values()) clearTimeout(timer);
    this.#timers.clear();
  }

  #refuse(guest: Guest, reason: DoorRefusal): void {
    clearTimeout(this.#timers.get(guest));
    this.#timers.delete(guest);
    this.#options.onRefused(reason);
    this.#options.close(guest);
  }
}
