import net from "node:net";
import { NAME_PATTERN, type PeerList } from "@slipway/proto";
import type { Candidate } from "./candidates.js";
import { ProtocolError } from "./frames.js";
import type { Address } from "./types.js";

/** Peers named to another. */
const LENGTH = 16;
const LENGTH_MAX = 32;

/** A neighbour as it is named to others. */
export interface Named {
  id: string;
  publicKey: Buffer;
  address: Address;
  cell: string;
  seeder: boolean;
}

/** Which neighbours to name: of that one's cell and of this one's, and the region's agents first. */
export function choosePeers(
  to: Named,
  neighbours: readonly Named[],
  homeCell: string,
  random: () => number,
): PeerList["peers"] {
  const others = neighbours.filter(({ id }) => id !== to.id);
  const useful = others.filter(
    ({ cell, seeder }) => !seeder && (to.seeder || cell === to.cell || cell === homeCell),
  );
  const seeders = others.filter(({ seeder }) => seeder);
  const chosen = [...shuffled(seeders, random).slice(0, LENGTH / 4), ...shuffled(useful, random)];
  return chosen.slice(0, LENGTH).map(({ publicKey, address, cell, seeder }) => ({
    publicKey,
    ...address,
    cell: seeder ? "" : cell,
  }));
}

/** Throws ProtocolError if one of them can't be reached. */
export function readPeerList({ peers }: PeerList): Candidate[] {
  if (peers.length > LENGTH_MAX) throw new ProtocolError(`a list of ${peers.length} peers`);
  return peers.map(({ publicKey, host, port, cell }) => {
    const reachable = publicKey.length === 32 && net.isIPv4(host) && port >= 1 && port <= 65_535;
    if (!reachable || (cell !== "" && !NAME_PATTERN.test(cell))) {
      throw new ProtocolError("a peer that can't be reached");
    }
    const id = publicKey.toString("hex");
    return { id, publicKey, address: { host, port }, cell, seeder: cell === "" };
  });
}

function shuffled<T>(items: readonly T[], random: () => number): T[] {
  const pool = [...items];
  for (let index = pool.length - 1; index > 0; index--) {
    const other = Math.floor(random() * (index + 1));
    [pool[index], pool[other]] = [pool[other] as T, pool[index] as T];
  }
  return pool;
}
