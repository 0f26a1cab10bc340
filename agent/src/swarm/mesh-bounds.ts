/** How many links of one kind a peer has. */
export interface Bounds {
  /** Looks for more while it has fewer. */
  min: number;
  /** Drops random ones, by and by, while it has more. */
  keep: number;
  /** Takes no more. */
  max: number;
}

export interface MeshOptions {
  role: "host" | "region";
  /** The home cell. */
  cell: string;
  /** Cells into which a host keeps two links each. */
  neighbourCells: readonly string[];
  /** Links that a host keeps in its home cell, and a region agent in all its cells together. */
  maxPeers: number;
  /** Other agents of the region that it can expect. */
  seeders: number;
}

/** Links with peers of one cell, or with the region's agents, of whichever cell. */
export type Group = { kind: "seeders" } | { kind: "cell"; cell: string };

// Only where the other end has enough without it may a link be dropped: elsewhere all are kept.
const NEIGHBOUR_CELL: Bounds = { min: 2, keep: 6, max: 6 };
/** Of a cell that is none of this peer's: it looks for links here. */
const OTHER_CELL: Bounds = { min: 0, keep: 4, max: 4 };
/** Of the region's agents a host looks for so many. */
const SEEDERS = 2;
const SEEDERS_MAX = { host: 8, region: 16 };
/** A region agent's smallest share for a cell. */
const SHARE_MIN = 8;

/** The home cell has 8 to 10 by default, and room for two more who find no place elsewhere. */
function home(maxPeers: number): Bounds {
  return { min: Math.max(1, maxPeers - 2), keep: maxPeers, max: maxPeers + 2 };
}

/** `joined`: the cells whose members the peer is a neighbour of. */
export function boundsOf(group: Group, options: MeshOptions, joined: ReadonlySet<string>): Bounds {
  if (group.kind === "seeders") {
    const min = Math.min(SEEDERS, options.seeders);
    const max = SEEDERS_MAX[options.role];
    return { min, keep: max, max };
  }
  const { cell } = group;
  if (options.role === "region") {
    if (!joined.has(cell)) return { min: 0, keep: SHARE_MIN, max: SHARE_MIN };
    const share = Math.max(
      Math.min(SHARE_MIN, options.maxPeers),
      Math.floor(options.maxPeers / joined.size),
    );
    return { min: share, keep: share, max: share };
  }
  if (cell === options.cell || joined.has(cell)) return home(options.maxPeers);
  return options.neighbourCells.includes(cell) ? NEIGHBOUR_CELL : OTHER_CELL;
}
