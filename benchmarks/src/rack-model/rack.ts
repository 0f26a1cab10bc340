import type { ChunkSizes } from "@slipway/agent/swarm/policies";
import { VirtualClock } from "./clock.js";
import { Host, type HostOptions } from "./host.js";
import { Network } from "./network.js";

export interface RackOptions {
  hosts: number;
  mbit: number;
  mib: number;
  seeders?: number;
  seederMbit?: number;
  /** Hosts that have a slower link than others, at least one if it is more than 0 … */
  slowShare?: number;
  /** … namely so much of it; a tenth unless told. */
  slowFactor?: number;
  /** Hosts that die when half of the time is over. */
  dyingShare?: number;
  /** Links between half and twice the rate. */
  mixed?: boolean;
  /** The first seeder dies when it has sent so many copies. */
  seederDiesAfter?: number;
  /** One more seeder takes requests and never answers. */
  muteSeeder?: boolean;
  /** One more host has everything, and sends at a hundredth of the rate, or never answers. */
  oddGiver?: "slow" | "mute";
  /** Chunks have between half and twice this; 1024 unless told. */
  chunkKib?: number;
  seed?: number;
}

export interface RackResult {
  /** When each host was done; the healthy ones and the slow, in milliseconds. */
  healthy: number[];
  slow: number[];
  /** What the links allow at best, and what a slow host's does. */
  idealMs: number;
  slowIdealMs: number;
  unfinished: number;
  /** When a whole copy had left the seeders. */
  firstCopyMs: number;
  seederCopies: number;
  /** Bytes that came in beyond one copy a host, in copies. */
  duplicates: number;
  hedges: number;
  timeouts: number;
}

/** Neighbours of a host, as the standing mesh has them. */
const DEGREE = 10;
const MIB = 1024 * 1024;
const START_JITTER_MS = 20;
const SLOW = 1 / 100;

/** One deployment of one artifact to a rack of hosts, none of which has any of it. */
export function simulate(options: RackOptions): RackResult {
  const random = seeded(options.seed ?? 1);
  const clock = new VirtualClock();
  const network = new Network(clock);
  const sizes = randomSizes(options.mib * MIB, (options.chunkKib ?? 1024) * 1024, random);
  const slowCount = Math.ceil((options.slowShare ?? 0) * options.hosts);
  const slowFactor = options.slowFactor ?? 0.1;
  let left = options.hosts;
  const make = (id: string, seeder: boolean, mbit: number, odd: Partial<HostOptions> = {}): Host =>
    new Host({
      clock,
      network,
      port: network.port(mbit, mbit),
      id,
      seeder,
      sizes,
      random,
      onDone: () => left--,
      ...odd,
    });
  const hosts = Array.from({ length: options.hosts }, (_, index) => {
    const factor =
      index < slowCount ? slowFactor : options.mixed === true ? 2 ** (random() * 2 - 1) : 1;
    return make(`h${index}`, false, options.mbit * factor);
  });
  const seeders = Array.from({ length: options.seeders ?? 1 }, (_, index) =>
    make(`s${index}`, true, options.seederMbit ?? options.mbit),
  );
  if (options.muteSeeder === true) seeders.push(make("mute", true, options.mbit, { mute: true }));
  const { oddGiver } = options;
  const odd =
    oddGiver === undefined
      ? []
      : [
          make("odd", false, options.mbit, {
            whole: true,
            mute: oddGiver === "mute",
            port: network.port(options.mbit * (oddGiver === "slow" ? SLOW : 1), options.mbit),
          }),
        ];
  mesh([...hosts, ...odd], random);
  for (const host of hosts) for (const seeder of seeders) host.connect(seeder);
  for (const host of hosts) clock.in(random() * START_JITTER_MS, () => host.start());

  const seederMbit = (options.seederMbit ?? options.mbit) * (options.seeders ?? 1);
  const idealMs = sizes.sizeBytes / (Math.min(options.mbit, seederMbit) * 125);
  clock.in(idealMs / 2, () => {
    for (const host of hosts.slice(0, Math.floor(options.hosts * (options.dyingShare ?? 0)))) {
      if (host.doneAt === undefined) left--;
      host.die();
    }
  });
  const copies = (): number =>
    seeders.reduce((all, { port }) => all + port.sentBytes, 0) / sizes.sizeBytes;
  let firstCopyMs = Infinity;
  const dies = options.seederDiesAfter ?? Infinity;
  const watch = (): void => {
    if (copies() >= 0.999) firstCopyMs = Math.min(firstCopyMs, clock.now);
    if (copies() >= dies) seeders[0]?.die();
    else clock.in(1, watch);
  };
  watch();
  const slowIdealMs = sizes.sizeBytes / (options.mbit * slowFactor * 125);
  clock.run(Math.max(idealMs * 100, slowIdealMs * 10), () => left === 0);

  const alive = hosts.filter((host) => host.alive);
  const sum = (pick: (host: Host) => number): number =>
    alive.reduce((total, host) => total + pick(host), 0);
  return {
    healthy: times(alive.filter((host) => hosts.indexOf(host) >= slowCount)),
    slow: times(alive.filter((host) => hosts.indexOf(host) < slowCount)),
    idealMs,
    slowIdealMs,
    unfinished: left,
    firstCopyMs,
    seederCopies: copies(),
    duplicates: sum(({ receivedBytes }) => receivedBytes) / sizes.sizeBytes - alive.length,
    hedges: sum(({ scheduler }) => scheduler.counters.hedges),
    timeouts: sum(({ scheduler }) => scheduler.counters.timeouts),
  };
}

function times(hosts: readonly Host[]): number[] {
  return hosts.map(({ doneAt }) => doneAt ?? Infinity).sort((a, b) => a - b);
}

/** Chunks of half to twice a size, as a content-defined chunker makes them. */
function randomSizes(total: number, chunk: number, random: () => number): ChunkSizes {
  const sizes: number[] = [];
  for (let left = total; left > 0;) {
    const size = Math.min(left, Math.floor(chunk * 0.5 * 4 ** random()));
    sizes.push(size);
    left -= size;
  }
  return {
    chunkCount: sizes.length,
    sizeBytes: total,
    sizeOf: (chunk) => sizes[chunk] ?? 0,
  };
}

/** Random links until each host has its degree, or nobody is left to link to. */
function mesh(hosts: readonly Host[], random: () => number): void {
  const degree = Math.min(DEGREE, hosts.length - 1);
  for (const host of hosts) {
    const others = hosts.filter((other) => other !== host && !host.isNeighbour(other));
    for (let tries = others.length; host.neighbours < degree && tries > 0; tries--) {
      const [other] = others.splice(Math.floor(random() * others.length), 1);
      if (other !== undefined && other.neighbours < degree) host.connect(other);
    }
    // Those that are left over link to some who have enough.
    for (const other of hosts) {
      if (host.neighbours >= degree - 2) break;
      if (other !== host && !host.isNeighbour(other)) host.connect(other);
    }
  }
}

/** A generator that starts at a seed, so that a run can be repeated. */
function seeded(seed: number): () => number {
  let state = seed;
  return () => {
    state = (state + 0x6d2b79f5) | 0;
    let mixed = Math.imul(state ^ (state >>> 15), 1 | state);
    mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)) ^ mixed;
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32;
  };
}
