import type { Random } from "./random.js";

/** What operators do, beside deployments. */
type OperationKind =
  | "freeze application"
  | "freeze region"
  | "remove application"
  | "narrow selector"
  | "cancel build"
  | "decommission host";

/** Something that an operator does, and takes back. Times in milliseconds. */
export interface PlannedOperation {
  /** From the beginning. */
  atMs: number;
  kind: OperationKind;
  /** An application, a region or a host; of a build, its application. */
  target: string;
  /** From then until it is taken back; undefined if it never is. */
  holdMs: number | undefined;
}

export interface OperationPlanOptions {
  applications: readonly string[];
  regions: readonly string[];
  /** An application that is removed, comes back, and in the end is removed for good. */
  fleeting: string;
  /** An application that now and then takes only some hosts. */
  narrowed: string;
  /** A host that is taken out of the fleet for good. */
  doomed: string;
  durationMs: number;
  /** How many that are taken back. */
  count: number;
}

const MIN_HOLD_MS = 500;
const MAX_HOLD_MS = 20_000;

/** In the order of their times. Nothing is done to what something is done to already. */
export function planOperations(random: Random, options: OperationPlanOptions): PlannedOperation[] {
  const { applications, regions, fleeting, narrowed, doomed, durationMs, count } = options;
  const share = (from: number, to: number): number =>
    random.integer(Math.floor(from * durationMs), Math.floor(to * durationMs));
  const targets: Partial<Record<OperationKind, readonly string[]>> = {
    "freeze application": applications,
    "freeze region": regions,
    "remove application": [fleeting],
    "narrow selector": [narrowed],
    "cancel build": applications,
  };
  const kinds = Object.keys(targets) as OperationKind[];
  const planned: PlannedOperation[] = [];
  const busy = new Map<string, { from: number; to: number }[]>();
  let round: OperationKind[] = [];
  for (let n = 0; n < count; n++) {
    if (round.length === 0) round = random.shuffled(kinds);
    const kind = round.pop()!;
    const target = random.pick(targets[kind] ?? []);
    const holdMs = random.integer(MIN_HOLD_MS, Math.min(MAX_HOLD_MS, Math.ceil(durationMs / 4)));
    // Builds come first, and time to take back.
    const atMs = share(0.1, 0.6);
    const slot = { from: atMs, to: atMs + holdMs };
    const others = busy.get(target) ?? [];
    if (others.some(({ from, to }) => slot.from <= to && from <= slot.to)) continue;
    busy.set(target, [...others, slot]);
    planned.push({ atMs, kind, target, holdMs: kind === "cancel build" ? undefined : holdMs });
  }
  const forGood = { holdMs: undefined };
  planned.push({ atMs: share(0.1, 0.3), kind: "decommission host", target: doomed, ...forGood });
  planned.push({ atMs: share(0.9, 1), kind: "remove application", target: fleeting, ...forGood });
  return planned.sort((a, b) => a.atMs - b.atMs);
}
