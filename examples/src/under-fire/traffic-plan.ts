import type { Random } from "./random.js";

/** How a commit turns out. */
type Fate = "good" | "build fails" | "release fails";

/** A commit to be built. Times in milliseconds. */
export interface PlannedBuild {
  /** From the beginning. */
  atMs: number;
  application: string;
  fate: Fate;
  /** Of the artifact. */
  sizeBytes: number;
  /** How long its command does nothing. */
  idleMs: number;
}

/** What somebody does about a deployment while it goes on. */
type Steering = "nothing" | "pause" | "abort" | "abort and keep" | "overtake";

/** A deployment to be made, once those before it of the same application have ended. */
export interface PlannedDeployment {
  /** Not before this, from the beginning. */
  atMs: number;
  application: string;
  change: "deploy" | "roll back";
  /** Although something is frozen. */
  overrideFreeze: boolean;
  steering: Steering;
  /** From its creation to the steering, and from a pause to its end. */
  afterMs: number;
}

export interface TrafficPlan {
  builds: PlannedBuild[];
  deployments: PlannedDeployment[];
}

export interface TrafficPlanOptions {
  applications: readonly string[];
  builds: number;
  deployments: number;
  /** Over which they are spread. */
  durationMs: number;
}

const MEBIBYTE = 1024 * 1024;
const MAX_IDLE_MS = 1_500;
const MAX_STEERING_MS = 4_000;
// How often each turns up.
const FATES: Fate[] = [
  ...Array.from({ length: 7 }, () => "good" as const),
  "build fails",
  "release fails",
];
const STEERINGS: Steering[] = [
  ...Array.from({ length: 4 }, () => "nothing" as const),
  "pause",
  "pause",
  "abort",
  "abort and keep",
  "overtake",
];

/**
 * What is submitted and deployed. Each application's first build is good and is submitted at once,
 * and so is its second, so that there is something to deploy and to go back to.
 */
export function planTraffic(random: Random, options: TrafficPlanOptions): TrafficPlan {
  const { applications, durationMs } = options;
  const plannedBuild = (index: number): PlannedBuild => {
    const isEarly = index < 2 * applications.length;
    return {
      atMs: isEarly ? 0 : random.integer(0, durationMs),
      application: applications[index % applications.length]!,
      fate: isEarly ? "good" : random.pick(FATES),
      sizeBytes: random.integer(MEBIBYTE, 4 * MEBIBYTE),
      idleMs: isEarly ? 0 : random.integer(0, MAX_IDLE_MS),
    };
  };
  const count = options.deployments;
  const plannedDeployment = (steering: Steering, index: number): PlannedDeployment => {
    const isFirst = index < applications.length;
    // Nothing comes that could overtake an application's last one.
    const isLast = index >= count - applications.length;
    return {
      atMs: Math.floor((index / count) * durationMs),
      application: applications[index % applications.length]!,
      // There has to be something to go back to.
      change: index >= 2 * applications.length && random.next() < 0.2 ? "roll back" : "deploy",
      overrideFreeze: random.next() < 0.3,
      steering: isFirst || (isLast && steering === "overtake") ? "nothing" : steering,
      afterMs: random.integer(0, MAX_STEERING_MS),
    };
  };
  const builds = Array.from({ length: options.builds }, (_, index) => plannedBuild(index));
  return {
    builds: builds.sort((a, b) => a.atMs - b.atMs),
    deployments: rounds(random, STEERINGS, count).map(plannedDeployment),
  };
}

/** So many, in rounds of all of them, each in an order of its own. */
function rounds<T>(random: Random, items: readonly T[], count: number): T[] {
  const all: T[] = [];
  while (all.length < count) all.push(...random.shuffled(items));
  return all.slice(0, count);
}
