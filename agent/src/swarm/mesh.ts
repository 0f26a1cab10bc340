import { type Candidate, Candidates } from "./candidates.js";
import { type Bounds, type Group, type MeshOptions, boundsOf } from "./mesh-bounds.js";

/** Links younger than this are not dropped to make room, in milliseconds. */
const SETTLE_MS = 5_000;
/** Links with peers of cells that are none of this host's, all together. */
const OTHERS_MAX = 12;
/** What a region agent takes for a host's least number of neighbours. */
const HOST_NEEDS = 8;

/** A neighbour, as it said itself in its hello. */
export interface Link {
  readonly id: string;
  readonly cell: string;
  readonly seeder: boolean;
  /** Neighbours that it has in its own home cell, as it said last. */
  readonly neighbours: number;
}

/** What becomes of a connection whose other end is a member. */
export type Admission = { kind: "keep"; instead?: string } | { kind: "refuse" };

/**
 * Which links a peer looks for, takes, and gives up, so that each cell is a random and roughly
 * regular mesh: whoever has too few finds a place, also where all places are taken, since who has
 * enough of them can do without one. It neither sends nor receives; times are milliseconds of any
 * one clock.
 */
export class Mesh {
  readonly #options: MeshOptions;
  readonly #random: () => number;
  readonly #joined: Set<string>;
  readonly #links = new Map<string, Link & { since: number }>();
  readonly #candidates: Candidates;

  constructor(options: MeshOptions, random: () => number = Math.random) {
    this.#options = options;
    this.#random = random;
    this.#joined = new Set([options.cell]);
    this.#candidates = new Candidates(random);
  }

  /** A further cell, whose members are this peer's neighbours like those of its home cell. */
  join(cell: string): void {
    this.#joined.add(cell);
  }

  /** Neighbours in the home cell; what this peer says of itself. */
  get homeNeighbours(): number {
    return this.#count({ kind: "cell", cell: this.#options.cell });
  }

  /** `teller`: the neighbour that named it; undefined if it was found on the DHT. */
  found(candidate: Candidate, teller?: string): void {
    this.#candidates.found(candidate, teller);
  }

  /** Whether there is room for this peer, perhaps in place of another. */
  admit(link: Link, now: number): Admission {
    const group = groupOf(link);
    const bounds = this.#bounds(group);
    if (this.#count(group, link.id) < bounds.max && this.#roomForOther(link))
      return { kind: "keep" };
    if (link.seeder || link.neighbours >= this.#enough) return { kind: "refuse" };
    const instead = this.#spare(group, now);
    return instead === undefined ? { kind: "refuse" } : { kind: "keep", instead };
  }

  linked(link: Link, now: number): void {
    this.#links.set(link.id, { ...link, since: now });
    this.#candidates.connected(link.id);
  }

  /** It said how many neighbours it has now. */
  told(id: string, neighbours: number): void {
    const link = this.#links.get(id);
    if (link !== undefined) this.#links.set(id, { ...link, neighbours });
  }

  /** `refused`: the other end has no place for this one, or keeps it no longer. */
  unlinked(id: string, refused: boolean, now: number): void {
    const since = this.#links.get(id)?.since ?? now;
    this.#links.delete(id);
    if (refused) this.#candidates.refused(id, now - since >= SETTLE_MS, now);
    else this.#candidates.lost(id, now);
  }

  /** Whom to dial now. */
  dials(now: number): Candidate[] {
    return this.#wanted().flatMap((group) => {
      const match = this.#unlinkedOf(group);
      const dialling = this.#candidates.pending(match, now);
      const missing = this.#bounds(group).min - this.#count(group) - dialling;
      // A few more than needed: some are gone, or have no place.
      return missing <= 0
        ? []
        : this.#candidates.choose(missing + Math.ceil(missing / 4), match, now);
    });
  }

  /** Links to give up now, one of a kind at most; their other ends have enough without. */
  surplus(now: number): string[] {
    const groups = new Map<string, Group>();
    for (const link of this.#links.values()) {
      const group = groupOf(link);
      groups.set(JSON.stringify(group), group);
    }
    return [...groups.values()].flatMap((group) => {
      if (this.#count(group) <= this.#bounds(group).keep) return [];
      return this.#spare(group, now) ?? [];
    });
  }

  /**
   * How soon to look again for peers of this cell: "soon" while some are missing that may be there,
   * "later" while some are missing but no more are known, "enough" otherwise.
   */
  mood(cell: string, now: number): "soon" | "later" | "enough" {
    const group: Group = { kind: "cell", cell };
    if (this.#count(group) < this.#bounds(group).min) {
      return this.#candidates.hopeful(this.#unlinkedOf(group), now) ? "soon" : "later";
    }
    // They are found in the home cell, too, but not by looking again: all of them may be full.
    const seeders: Group = { kind: "seeders" };
    const lacking = this.#count(seeders) < this.#bounds(seeders).min;
    return lacking && cell === this.#options.cell && !this.#candidates.knows(isSeeder)
      ? "later"
      : "enough";
  }

  #wanted(): Group[] {
    const cells = new Set([...this.#joined, ...this.#options.neighbourCells]);
    return [{ kind: "seeders" }, ...[...cells].map((cell): Group => ({ kind: "cell", cell }))];
  }

  #bounds(group: Group): Bounds {
    return boundsOf(group, this.#options, this.#joined);
  }

  /** Neighbours that a host needs in its home cell: those of one region are set alike. */
  get #enough(): number {
    const { role, cell } = this.#options;
    return role === "region" ? HOST_NEEDS : this.#bounds({ kind: "cell", cell }).min;
  }

  #count(group: Group, except?: string): number {
    let count = 0;
    for (const link of this.#links.values()) if (isOf(link, group) && link.id !== except) count++;
    return count;
  }

  #unlinkedOf(group: Group): (candidate: Candidate) => boolean {
    return (candidate) => isOf(candidate, group) && !this.#links.has(candidate.id);
  }

  /** Cells that nobody told this host of must not fill it, however many they are. */
  #roomForOther(link: Link): boolean {
    if (link.seeder || this.#options.role === "region" || this.#expects(link.cell)) return true;
    const others = [...this.#links.values()].filter(
      ({ cell, seeder, id }) => !seeder && id !== link.id && !this.#expects(cell),
    );
    return others.length < OTHERS_MAX;
  }

  #expects(cell: string): boolean {
    return this.#joined.has(cell) || this.#options.neighbourCells.includes(cell);
  }

  /** A random link whose other end can do without it. */
  #spare(group: Group, now: number): string | undefined {
    const region = this.#options.role === "region";
    const spare = [...this.#links.values()].filter(
      (link) =>
        isOf(link, group) &&
        now - link.since >= SETTLE_MS &&
        (region ||
          link.seeder ||
          link.cell !== this.#options.cell ||
          link.neighbours > this.#enough),
    );
    return spare[Math.floor(this.#random() * spare.length)]?.id;
  }
}

const isSeeder = ({ seeder }: Candidate): boolean => seeder;

function groupOf({ seeder, cell }: Pick<Link, "seeder" | "cell">): Group {
  return seeder ? { kind: "seeders" } : { kind: "cell", cell };
}

function isOf(one: Pick<Link, "seeder" | "cell">, group: Group): boolean {
  return group.kind === "seeders" ? one.seeder : !one.seeder && one.cell === group.cell;
}
