import {
  DeploymentFailureReason,
  DeploymentState,
  DeploymentStep,
  HOST_BUCKETS,
  PauseReason,
  Release,
  StepPhase,
  Strategy,
  type Deployment,
} from "@slipway/proto";
import { defaultStrategy } from "../application/strategy.js";
import type { GoalSource } from "../goal/goal.js";
import { planSteps } from "./plan-steps.js";
import {
  acceptedRegions,
  isPausedByRequest,
  type FailureReason,
  type Limits,
  type PauseReason as StoredPauseReason,
  type Phase,
  type Snapshot,
  type State,
} from "./snapshot.js";

/** A row of `deployments`, as the driver gives it: 64-bit numbers as text. */
export interface DeploymentRow {
  id: string;
  application: string;
  application_revision: number;
  build_id: string;
  generation: string;
  state: State;
  failure_reason: FailureReason | null;
  failure_message: string | null;
  superseded_by: string | null;
  is_rollback: boolean;
  regions: string[];
  selector: Record<string, string>;
  run_release: Buffer;
  previous_release: Buffer | null;
  previous_build_id: string | null;
  /** Null in rows of coordinators that did not note it, and without a previous release. */
  previous_generation: string | null;
  creator: string;
  reason: string;
  idempotency_key: string | null;
  request: string;
  create_time: Date;
  start_time: Date | null;
  finish_time: Date | null;
  deadline: Date;
  revision: string;
  /** These three are null in rows of coordinators that know of no steps. */
  strategy: unknown;
  steps: unknown[] | null;
  limits: Record<string, number> | null;
  step: number;
  step_phase: Phase;
  step_phase_time: Date;
  raise_time: Date;
  pause_reason: StoredPauseReason | null;
  pause_message: string;
  pause_actor: string;
  pause_time: Date | null;
  promoted_step: number;
  rolled_back_by: string | null;
  blocked_by: string;
  held_time: Date | null;
  accepted_silence: { hosts: number; regions: string[] } | "present" | null;
  override_freeze: boolean;
  dropped_regions: string[];
  gone_regions: string[];
}

/** A deployment as the coordinator works with it. */
export interface StoredDeployment {
  /** What callers see. */
  deployment: Deployment;
  /** The same, as far as it moves. */
  snapshot: Snapshot;
  goal: GoalSource;
  strategy: Strategy;
  idempotencyKey: string | null;
  /** What was asked for under the idempotency key. */
  request: string;
}

const STATES: Record<State, DeploymentState> = {
  PENDING: DeploymentState.PENDING,
  RUNNING: DeploymentState.RUNNING,
  WAITING: DeploymentState.WAITING,
  PAUSED: DeploymentState.PAUSED,
  SUCCEEDED: DeploymentState.SUCCEEDED,
  FAILED: DeploymentState.FAILED,
  SUPERSEDED: DeploymentState.SUPERSEDED,
  ABORTED: DeploymentState.ABORTED,
};

const PHASES: Record<Phase, StepPhase> = {
  STAGING: StepPhase.STAGING,
  SWITCHING: StepPhase.SWITCHING,
  BAKING: StepPhase.BAKING,
};

/** Reads a row. */
export function fromRow(row: DeploymentRow): StoredDeployment {
  const run = Release.decode(row.run_release);
  const previous = row.previous_release === null ? undefined : Release.decode(row.previous_release);
  const generation = Number(row.generation);
  const { id, application, regions, selector } = row;
  const strategy = strategyOf(row);
  const snapshot = snapshotOf(row, strategy);
  const { limits } = snapshot;
  return {
    deployment: {
      id,
      application,
      applicationRevision: row.application_revision,
      buildId: row.build_id,
      commitSha: run.commitSha,
      artifactDigest: run.artifactDigest,
      generation,
      previousBuildId: row.previous_build_id ?? "",
      isRollback: row.is_rollback,
      creator: row.creator,
      reason: row.reason,
      createTime: row.create_time,
      revision: Number(row.revision),
      regions: [...regions],
      strategy,
      rolledBackBy: row.rolled_back_by ?? "",
      droppedRegions: [...row.dropped_regions],
      ...shownOf(snapshot),
    },
    snapshot,
    goal: {
      application,
      generation,
      deploymentId: id,
      regions,
      selector,
      run,
      previous,
      previousGeneration: Number(row.previous_generation ?? 0),
      limits,
      removedRegions: removedRegions(row),
      holds: holds(snapshot),
    },
    strategy,
    idempotencyKey: row.idempotency_key,
    request: row.request,
  };
}

/** What is dropped runs on until it is sure that it will not be gone back to. */
function removedRegions({ state, dropped_regions: dropped, gone_regions: gone }: DeploymentRow) {
  return state === "SUCCEEDED" ? [...gone, ...dropped] : gone;
}

/**
 * A limit that rose while NATS took nothing must not go out once the deployment is over or paused.
 * That a roll-back has failed takes nobody's way out: it goes out as it was made.
 */
function holds(snapshot: Snapshot): boolean {
  const { state, isRollback } = snapshot;
  return state === "ABORTED" || (state === "FAILED" && !isRollback) || isPausedByRequest(snapshot);
}

/** What callers see of a snapshot. */
function shownOf(snapshot: Snapshot) {
  const { failure, pause } = snapshot;
  return {
    state: STATES[snapshot.state],
    failure: failure && {
      reason: DeploymentFailureReason[failure.reason],
      message: failure.message,
    },
    startTime: snapshot.startTime === undefined ? undefined : new Date(snapshot.startTime),
    finishTime: snapshot.finishTime === undefined ? undefined : new Date(snapshot.finishTime),
    deadline: new Date(snapshot.deadline),
    supersededBy: snapshot.supersededBy,
    steps: [...snapshot.steps],
    step: snapshot.step,
    stepPhase: PHASES[snapshot.phase],
    stepPhaseTime: new Date(snapshot.phaseTime),
    pause: pause && {
      reason: PauseReason[pause.reason],
      message: pause.message,
      actor: pause.actor,
      pauseTime: new Date(pause.time),
    },
    blockedBy: snapshot.blockedBy,
    withoutRegions: [...acceptedRegions(snapshot)],
  };
}

/** A coordinator that knows of no steps means all hosts at once, with no time to bake. */
function strategyOf({ strategy, regions }: DeploymentRow): Strategy {
  if (strategy !== null) return Strategy.fromPartial(strategy as object);
  const bakeTime = { seconds: 0, nanos: 0 };
  const waves = [{ regions: ["*"], percents: [100], bakeTime, requiresApproval: false }];
  return { ...defaultStrategy(regions), waves };
}

function snapshotOf(row: DeploymentRow, strategy: Strategy): Snapshot {
  const { steps, pace } = planSteps(strategy, row.regions);
  return {
    state: row.state,
    isRollback: row.is_rollback,
    creator: row.creator,
    regions: row.regions,
    // As they were planned when it was created.
    steps: row.steps?.map((step) => DeploymentStep.fromPartial(step as object)) ?? steps,
    pace,
    step: row.step,
    phase: row.limits === null && row.start_time !== null ? "SWITCHING" : row.step_phase,
    phaseTime: row.step_phase_time.getTime(),
    limits: row.limits ?? limitsOf(row.regions, row.start_time === null ? 0 : HOST_BUCKETS),
    raiseTime: row.raise_time.getTime(),
    pause:
      row.pause_reason === null
        ? undefined
        : {
            reason: row.pause_reason,
            message: row.pause_message,
            actor: row.pause_actor,
            time: row.pause_time?.getTime() ?? 0,
          },
    promotedStep: row.promoted_step,
    blockedBy: row.blocked_by,
    // A coordinator that does not know of it may have gone on.
    heldTime: row.blocked_by === "" ? undefined : row.held_time?.getTime(),
    acceptedSilence: row.accepted_silence ?? undefined,
    overrideFreeze: row.override_freeze,
    failure:
      row.failure_reason === null
        ? undefined
        : { reason: row.failure_reason, message: row.failure_message ?? "" },
    supersededBy: row.superseded_by ?? "",
    startTime: row.start_time?.getTime(),
    finishTime: row.finish_time?.getTime(),
    deadline: row.deadline.getTime(),
  };
}

/** The same limit everywhere. */
export function limitsOf(regions: readonly string[], limit: number): Limits {
  return Object.fromEntries(regions.map((region) => [region, limit]));
}
