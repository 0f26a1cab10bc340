import type { Address } from "./types.js";

/** Known at once; of more than that, those not heard of for longest are forgotten. */
const MAX = 512;
/** Of these, from one neighbour. */
const MAX_TOLD = 48;
/** Milliseconds. A dial that has led to nothing by then has failed. */
const DIAL_MS = 3_000;
const RETRY_MS = 1_000;
const RETRY_MAX_MS = 10_000;
/** It had no place for this peer. */
const REFUSED_MS = 5_000;
const REFUSED_MAX_MS = 60_000;
/** Dialled in vain so many times it is not expected any more, though still tried. */
const HOPELESS = 4;

/** A peer that may be there: from the DHT, or from a neighbour. */
export interface Candidate {
  /** Its public key in hex. */
  readonly id: string;
  readonly publicKey: Buffer;
  readonly address: Address;
  /** Where it was found, or what a neighbour says; itself says it in its hello. */
  readonly cell: string;
  /** Is it one of the region's bootstrap nodes? */
  readonly seeder: boolean;
}

interface Known extends Candidate {
  /** The neighbour that named it; undefined if it was found on the DHT. */
  teller: string | undefined;
  failures: number;
  refusals: number;
  /** A dial may still succeed until then. */
  pendingUntil: number;
  retryAt: number;
}

const UNTRIED = { failures: 0, refusals: 0, pendingUntil: 0, retryAt: 0 };

type Match = (candidate: Candidate) => boolean;

/** Whom to dial next. Times are milliseconds of any one clock. */
export class Candidates {
  readonly #random: () => number;
  readonly #known = new Map<string, Known>();

  constructor(random: () => number) {
    this.#random = random;
  }

  /**
   * `teller`: the neighbour that named it, as one that it is connected with. What the DHT says is
   * signed by the candidate itself, and nobody else's word changes it.
   */
  found(candidate: Candidate, teller?: string): void {
    const known = this.#known.get(candidate.id);
    this.#known.delete(candidate.id);
    if (known === undefined) this.#makeRoom(teller);
    const { failures, refusals, pendingUntil, retryAt } = known ?? UNTRIED;
    const again = teller !== undefined && failures > 0 && refusals === 0;
    const signed = known !== undefined && known.teller === undefined;
    const heldTo = known !== undefined && teller !== undefined && (signed || failures === 0);
    this.#known.set(candidate.id, {
      ...(heldTo ? known : candidate),
      teller: signed ? undefined : teller,
      failures: again ? 0 : failures,
      refusals,
      pendingUntil,
      retryAt: again ? 0 : retryAt,
    });
  }

  /** Up to so many that match, at random; they count as being dialled from now on. */
  choose(count: number, match: Match, now: number): Candidate[] {
    const able = [...this.#known.values()].filter(
      (one) => one.retryAt <= now && one.pendingUntil <= now && match(one),
    );
    const chosen: Candidate[] = [];
    while (chosen.length < count && able.length > 0) {
      const [one] = able.splice(Math.floor(this.#random() * able.length), 1);
      if (one === undefined) break;
      one.pendingUntil = now + DIAL_MS;
      one.failures++;
      const wait = Math.min(RETRY_MAX_MS, RETRY_MS * 2 ** one.failures);
      one.retryAt = now + DIAL_MS + wait * (0.75 + this.#random() / 2);
      chosen.push(one);
    }
    return chosen;
  }

  /** How many of those that match are being dialled. */
  pending(match: Match, now: number): number {
    let count = 0;
    for (const one of this.#known.values()) if (one.pendingUntil > now && match(one)) count++;
    return count;
  }

  knows(match: Match): boolean {
    return [...this.#known.values()].some(match);
  }

  /** Is there one that matches and may well answer soon? */
  hopeful(match: Match, now: number): boolean {
    for (const one of this.#known.values()) {
      if (one.failures < HOPELESS && one.retryAt <= now + RETRY_MAX_MS && match(one)) return true;
    }
    return false;
  }

  connected(id: string): void {
    const known = this.#known.get(id);
    if (known === undefined) return;
    known.failures = 0;
    known.pendingUntil = 0;
    known.retryAt = 0;
  }

  /** It said that it has no place, or keeps none any longer; `settled` if the link stood a while. */
  refused(id: string, settled: boolean, now: number): void {
    const known = this.#known.get(id);
    if (known === undefined) return;
    if (settled) known.refusals = 0;
    const wait = Math.min(REFUSED_MAX_MS, REFUSED_MS * 2 ** known.refusals);
    known.refusals++;
    known.retryAt = now + wait * (0.75 + this.#random() / 2);
    known.pendingUntil = 0;
  }

  /** The connection with it was lost: others first. */
  lost(id: string, now: number): void {
    const known = this.#known.get(id);
    if (known === undefined) return;
    known.refusals = 0;
    known.retryAt = Math.max(known.retryAt, now + RETRY_MS);
  }

  /** Nobody can make this peer forget all others. */
  #makeRoom(teller: string | undefined): void {
    const told = [...this.#known.values()].filter((one) => one.teller === teller);
    const [oldest] = this.#known.keys();
    if (teller !== undefined && told.length >= MAX_TOLD && told[0] !== undefined) {
      this.#known.delete(told[0].id);
    } else if (this.#known.size >= MAX && oldest !== undefined) this.#known.delete(oldest);
  }
}
