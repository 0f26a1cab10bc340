export interface RoomLimits {
  /** Guests of one address. */
  each: number;
  /** Guests in all. */
  all: number;
}

/**
 * Those who have yet to prove who they are: so many of one address, and in all. It is never closed to
 * a newcomer: whoever has waited longest of the address with the most guests leaves for it. So one who
 * says at once who it is gets in, however many do not.
 */
export class WaitingRoom<Guest> {
  readonly #limits: RoomLimits;
  readonly #addresses = new Map<Guest, string>();
  readonly #guests = new Map<string, Set<Guest>>();

  constructor(limits: RoomLimits) {
    this.#limits = limits;
  }

  /** Returns who has to leave for it, and is in the room no more. */
  enter(guest: Guest, address: string): Guest | undefined {
    const own = this.#guests.get(address)?.size ?? 0;
    let leaving: Guest | undefined;
    if (own >= this.#limits.each) leaving = this.#oldestOf(address);
    else if (this.#addresses.size >= this.#limits.all) leaving = this.#oldestOf(this.#fullest());
    if (leaving !== undefined) this.leave(leaving);
    this.#addresses.set(guest, address);
    const guests = this.#guests.get(address) ?? new Set();
    this.#guests.set(address, guests.add(guest));
    return leaving;
  }

  /** Whether it was there. */
  leave(guest: Guest): boolean {
    const address = this.#addresses.get(guest);
    if (address === undefined) return false;
    this.#addresses.delete(guest);
    const guests = this.#guests.get(address);
    guests?.delete(guest);
    if (guests?.size === 0) this.#guests.delete(address);
    return true;
  }

  has(guest: Guest): boolean {
    return this.#addresses.has(guest);
  }

  /** In the order in which they came. */
  guests(): Iterable<Guest> {
    return this.#addresses.keys();
  }

  get size(): number {
    return this.#addresses.size;
  }

  /** Of several, the one that has been in the room for longest. */
  #fullest(): string {
    let fullest = "";
    let most = 0;
    for (const [address, guests] of this.#guests) {
      if (guests.size <= most) continue;
      fullest = address;
      most = guests.size;
    }
    return fullest;
  }

  #oldestOf(address: string): Guest | undefined {
    const [oldest] = this.#guests.get(address) ?? [];
    return oldest;
  }
}
