/** Milliseconds. */
export const BAN_MS = 60_000;
/** For a region agent's first offence … */
const SEEDER_BAN_MS = 1_000;
/** … in so long a time. */
const REMEMBERED_MS = 600_000;

/**
 * How long peers that sent wrong bytes are kept away. A region agent may be the only one to have an
 * artifact. If its copy is damaged it finds out as soon as it is told, and shares it no more: hosts
 * may come back soon, once. Takes the clock's time.
 */
export class Offences {
  readonly #seeders = new Map<string, number>();

  /** In milliseconds, for an offence now. */
  banMs(peer: { id: string; seeder: boolean }, now: number): number {
    if (!peer.seeder) return BAN_MS;
    for (const [id, at] of this.#seeders) {
      if (now - at >= REMEMBERED_MS) this.#seeders.delete(id);
    }
    const first = !this.#seeders.has(peer.id);
    this.#seeders.set(peer.id, now);
    return first ? SEEDER_BAN_MS : BAN_MS;
  }
}
