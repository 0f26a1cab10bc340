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

/** One SIGKILL, and the start after it. Times in milliseconds. */
export interface Fault {
  /** From the beginning of the plan. */
  atMs: number;
  kind: FaultKind;
  /** A process's or server's name; of a release, the host's. */
  target: string;
  /** From the kill to the start. 0 for a release: its host's agent starts it. */
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
}

const MIN_DOWN_MS = 100;
const LONG_EVERY = 3;
const HEARD_OF = new Set<FaultKind>(["host agent", "region agent"]);
/** Nothing is hit again until it has had this long to start. */
const START_MS = 3_000;

/**
 * Faults in the order of their times. Kinds come in rounds, each in its own order, so that none is
 * left out for long; what is down is not hit again.
 */
export function planFaults(random: Random, options: FaultPlanOptions): Fault[] {
  const { targets, count, meanGapMs, maxDownMs, longDownMs } = options;
  const kinds = (Object.keys(targets) as FaultKind[]).filter((kind) => targets[kind]?.length);
  if (kinds.length === 0) return [];
  const faults: Fault[] = [];
  const busyUntil = new Map<string, number>();
  let round: FaultKind[] = [];
  let atMs = 0;
  let heardOf = 0;
  while (faults.length < count) {
    atMs += random.integer(0, 2 * meanGapMs);
    if (round.length === 0) round = random.shuffled(kinds);
    const key = (kind: FaultKind, target: string): string => `${kind} ${target}`;
    const freeOf = (kind: FaultKind): string[] =>
      (targets[kind] ?? []).filter((target) => (busyUntil.get(key(kind, target)) ?? 0) <= atMs);
    const kind = round.find((each) => freeOf(each).length > 0);
    // All that is left of the round is down.
    if (kind === undefined) continue;
    round = round.filter((each) => each !== kind);
    const target = random.pick(freeOf(kind));
    const isLong = HEARD_OF.has(kind) && ++heardOf % LONG_EVERY === 0;
    const shortMs = random.integer(MIN_DOWN_MS, maxDownMs);
    const wanted = isLong ? (longDownMs ?? shortMs) : shortMs;
    const downMs = kind === "release" ? 0 : wanted;
    busyUntil.set(key(kind, target), atMs + downMs + START_MS);
    faults.push({ atMs, kind, target, downMs });
  }
  return faults;
}
