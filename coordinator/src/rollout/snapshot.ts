import { HOST_BUCKETS, type DeploymentStep } from "@slipway/proto";

/** Where a deployment stands, as the database says it. */
export type State =
  "PENDING" | "RUNNING" | "WAITING" | "PAUSED" | "SUCCEEDED" | "FAILED" | "SUPERSEDED" | "ABORTED";

/** The states that are left again. */
export const UNFINISHED: readonly State[] = ["PENDING", "RUNNING", "WAITING", "PAUSED"];

export type Phase = "STAGING" | "SWITCHING" | "BAKING";
export type PauseReason = "REQUESTED" | "HOSTS_SILENT" | "REGION_SILENT";
export type FailureReason = "HOSTS_FAILED" | "DEADLINE_EXCEEDED";

export interface Failure {
  reason: FailureReason;
  /** For a person: which hosts, which regions, what was waited for. */
  message: string;
}

interface Pause {
  reason: PauseReason;
  message: string;
  actor: string;
  time: number;
}

/** What somebody has resumed a deployment in spite of. */
export interface Silence {
  /** That were told to switch and are silent. */
  hosts: number;
  /** Of which no agent is heard; those that were heard again since are not among them. */
  regions: readonly string[];
}

/** By region: of 10,000 buckets of hosts, how many were told to switch. */
export type Limits = Readonly<Record<string, number>>;

/** What of a strategy counts once the steps are planned. Times are in milliseconds. */
export interface Pace {
  maxSwitchingPercent: number;
  failedPercent: number;
  silentPercent: number;
  stageTimeoutMs: number;
  activateTimeoutMs: number;
  timeoutMs: number;
  rollBackOnFailure: boolean;
  /** After each step. */
  bakeTimesMs: readonly number[];
}

/** A deployment, as far as it moves. Times are milliseconds since 1970, by the database's clock. */
export interface Snapshot {
  state: State;
  isRollback: boolean;
  creator: string;
  regions: readonly string[];
  steps: readonly DeploymentStep[];
  pace: Pace;
  /** The present one, counted from 1. */
  step: number;
  phase: Phase;
  phaseTime: number;
  limits: Limits;
  /** When a limit last rose, or could rise again after it could not. */
  raiseTime: number;
  pause: Pause | undefined;
  /** The last step that somebody let begin; 0 for none. */
  promotedStep: number;
  blockedBy: string;
  /** Since when it is held up by what counts towards no deadline. */
  heldTime: number | undefined;
  /**
   * The silence that it is not paused for, until there is more: somebody has resumed it in spite of
   * that. "present" until that was counted.
   */
  acceptedSilence: Silence | "present" | undefined;
  overrideFreeze: boolean;
  failure: Failure | undefined;
  supersededBy: string;
  startTime: number | undefined;
  finishTime: number | undefined;
  deadline: number;
}

/** Whether the state is never left. */
export function isFinal(state: State): boolean {
  return !UNFINISHED.includes(state);
}

/** Whether somebody wants nothing to move: neither forwards nor, by itself, back. */
export function isPausedByRequest({ state, pause }: Pick<Snapshot, "state" | "pause">): boolean {
  return state === "PAUSED" && pause?.reason === "REQUESTED";
}

/** The step that a deployment is at. */
export function presentStep({ steps, step }: Pick<Snapshot, "steps" | "step">): DeploymentStep {
  const found = steps[step - 1];
  if (found === undefined) throw new Error(`there is no step ${step} of ${steps.length}`);
  return found;
}

export function limitOf({ limits }: Pick<Snapshot, "limits">, region: string): number {
  return limits[region] ?? 0;
}

/** Of a region's hosts, how many the present step and those before it are to reach; 0 for none. */
export function duePercent(
  { steps, step }: Pick<Snapshot, "steps" | "step">,
  region: string,
): number {
  const own = steps.slice(0, step).filter(({ regions }) => regions.includes(region));
  return Math.max(0, ...own.map(({ percent }) => percent));
}

/** The limit of so many percent of the hosts. */
export function limitAt(percent: number): number {
  return (percent / 100) * HOST_BUCKETS;
}

/** The regions of the present step, and those that it went on without in one before. */
export function dueRegions(
  snapshot: Pick<Snapshot, "steps" | "step" | "limits" | "regions">,
): string[] {
  const own = presentStep(snapshot).regions;
  return snapshot.regions.filter((region) => {
    const isBehind = limitOf(snapshot, region) < limitAt(duePercent(snapshot, region));
    return own.includes(region) || isBehind;
  });
}

/** The regions that somebody goes on without. */
export function acceptedRegions({
  acceptedSilence,
}: Pick<Snapshot, "acceptedSilence">): readonly string[] {
  return acceptedSilence === undefined || acceptedSilence === "present"
    ? []
    : acceptedSilence.regions;
}

/** Whether any host was ever told to switch. */
export function anySwitched({ limits }: Pick<Snapshot, "limits">): boolean {
  return Object.values(limits).some((limit) => limit > 0);
}

/** Whether the present step may not begin before somebody says so. */
export function awaitsPromotion(
  snapshot: Pick<Snapshot, "steps" | "step" | "promotedStep">,
): boolean {
  return presentStep(snapshot).requiresPromotion && snapshot.promotedStep < snapshot.step;
}
