import type { Random } from "./random.js";

/** What can be killed. A release is the process that a host runs of an application. */
export type FaultKind =
  | "coordinator"
  | "builder"
  | "region agent"
  | "host agent"
  | "release"
  | "postgres"
  | "global nats"
  | "regional nats";

/**
 * What is done to it: SIGKILL, and a start after it; SIGSTOP, and SIGCONT after it, as to a machine
 * that hangs; or SIGKILL and a start with another label.
 */
export type FaultWay = "kill" | "hang" | "relabel";

/** Something that is down for a while. Times in milliseconds. */
export interface Fault {
  /** From the beginning of the plan. */
  atMs: number;
  way: FaultWay;
  kind: FaultKind;
  /** A process's or server's name; of a release, the host's. */
  target: string;
  /** From the beginning to the end. 0 for a release: its host's agent starts it. */
  downMs: number;
}

export interface FaultPlanOptions {
  /** What there is of each kind; kinds without any are left out. */
  targets: Readonly<Partial<Record<FaultKind, readonly string[]>>>;
  count: number;
  /** Between one fault and the next: 0 to twice this, above 0. */
  meanGapMs: number;
  /** At most so long is something down. */
  maxDownMs: number;
  /** So long is every third agent of a host or region down, to be counted as silent. None: never. */
  longDownMs?: number;
  /** How long processes hang, and how many of them at most at once. None: never. */
  hangs?: { minMs: number; maxMs: number; atOnce: number };
  /** Hosts that now and then come back with another label. */
  relabelled?: readonly string[];
}

const MIN_DOWN_MS = 100;
const LONG_EVERY = 3;
/** A hung Postgres would be one of its many processes. */
const HANGING: readonly FaultKind[] = [
  "coordinator",
  "builder",
  "region agent",
  "host agent",
  "global nats",
  "regional nats",
];
const HEARD_OF = new Set<FaultKind>(["host agent", "region agent"]);
/** Nothing is hit again until it has had this long to start. */
const START_MS = 3_000;

/** One way for one kind of target. */
interface Sort {
  way: FaultWay;
  kind: FaultKind;
  targets: readonly string[];
}

/**
 * Faults in the order of their times. Sorts come in rounds, each in its own order, so that none is
 * left out for long; what is down is not hit again.
 */
export function planFaults(random: Random, options: FaultPlanOptions): Fault[] {
  const { count, meanGapMs, maxDownMs, longDownMs, hangs } = options;
  const sorts = sortsOf(options);
  if (sorts.length === 0) return [];
  const faults: Fault[] = [];
  const busyUntil = new Map<string, number>();
  let hangingUntil: number[] = [];
  let round: Sort[] = [];
  let atMs = 0;
  let heardOf = 0;
  while (faults.length < count) {
    atMs += random.integer(0, 2 * meanGapMs);
    if (round.length === 0) round = random.shuffled(sorts);
    hangingUntil = hangingUntil.filter((until) => until > atMs);
    const key = (kind: FaultKind, target: string): string => `${kind} ${target}`;
    const freeOf = ({ way, kind, targets }: Sort): string[] => {
      if (way === "hang" && hangingUntil.length >= (hangs?.atOnce ?? 0)) return [];
      return targets.filter((target) => (busyUntil.get(key(kind, target)) ?? 0) <= atMs);
    };
    const sort = round.find((each) => freeOf(each).length > 0);
    // All that is left of the round is down.
    if (sort === undefined) continue;
    round = round.filter((each) => each !== sort);
    const { way, kind } = sort;
    const target = random.pick(freeOf(sort));
    const isLong = way === "kill" && HEARD_OF.has(kind) && ++heardOf % LONG_EVERY === 0;
    const shortMs = random.integer(MIN_DOWN_MS, maxDownMs);
    const killedMs = isLong ? (longDownMs ?? shortMs) : shortMs;
    const hangsMs = hangs === undefined ? 0 : random.integer(hangs.minMs, hangs.maxMs);
    const downMs = kind === "release" ? 0 : way === "hang" ? hangsMs : killedMs;
    busyUntil.set(key(kind, target), atMs + downMs + START_MS);
    if (way === "hang") hangingUntil.push(atMs + downMs);
    faults.push({ atMs, way, kind, target, downMs });
  }
  return faults;
}

function sortsOf({ targets, hangs, relabelled = [] }: FaultPlanOptions): Sort[] {
  const of = (way: FaultWay, kind: FaultKind, named = targets[kind] ?? []): Sort => {
    return { way, kind, targets: named };
  };
  const kinds = Object.keys(targets) as FaultKind[];
  return [
    ...kinds.map((kind) => of("kill", kind)),
    ...(hangs === undefined ? [] : HANGING.map((kind) => of("hang", kind))),
    of("relabel", "host agent", relabelled),
  ].filter((sort) => sort.targets.length > 0);
}
