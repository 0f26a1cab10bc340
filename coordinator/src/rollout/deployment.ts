import {
  DeploymentFailureReason,
  DeploymentState,
  Release,
  type Deployment,
  type DeploymentFailure,
} from "@slipway/proto";
import type { GoalSource } from "../goal/goal.js";
import type { FailureReason, State } from "./transition.js";

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
  creator: string;
  reason: string;
  idempotency_key: string | null;
  request: string;
  create_time: Date;
  start_time: Date | null;
  finish_time: Date | null;
  deadline: Date;
  revision: string;
}

/** A deployment as the coordinator works with it. */
export interface StoredDeployment {
  /** What callers see. */
  deployment: Deployment;
  state: State;
  goal: GoalSource;
  idempotencyKey: string | null;
  /** What was asked for under the idempotency key. */
  request: string;
}

const STATES: Record<State, DeploymentState> = {
  PENDING: DeploymentState.PENDING,
  RUNNING: DeploymentState.RUNNING,
  SUCCEEDED: DeploymentState.SUCCEEDED,
  FAILED: DeploymentState.FAILED,
  SUPERSEDED: DeploymentState.SUPERSEDED,
};

const FAILURES: Record<FailureReason, DeploymentFailureReason> = {
  HOSTS_FAILED: DeploymentFailureReason.HOSTS_FAILED,
  DEADLINE_EXCEEDED: DeploymentFailureReason.DEADLINE_EXCEEDED,
};

/** Reads a row. */
export function fromRow(row: DeploymentRow): StoredDeployment {
  const run = Release.decode(row.run_release);
  const previous = row.previous_release === null ? undefined : Release.decode(row.previous_release);
  const generation = Number(row.generation);
  const { id, application, regions, selector } = row;
  return {
    deployment: {
      id,
      application,
      applicationRevision: row.application_revision,
      buildId: row.build_id,
      commitSha: run.commitSha,
      artifactDigest: run.artifactDigest,
      state: STATES[row.state],
      failure: failureOf(row),
      generation,
      previousBuildId: row.previous_build_id ?? "",
      isRollback: row.is_rollback,
      creator: row.creator,
      reason: row.reason,
      createTime: row.create_time,
      startTime: row.start_time ?? undefined,
      finishTime: row.finish_time ?? undefined,
      deadline: row.deadline,
      revision: Number(row.revision),
      regions: [...regions],
      supersededBy: row.superseded_by ?? "",
      strategy: undefined,
      steps: [],
      step: 0,
      stepPhase: 0,
      stepPhaseTime: undefined,
      pause: undefined,
      rolledBackBy: "",
      blockedBy: "",
    },
    state: row.state,
    goal: { application, generation, deploymentId: id, regions, selector, run, previous },
    idempotencyKey: row.idempotency_key,
    request: row.request,
  };
}

function failureOf(row: DeploymentRow): DeploymentFailure | undefined {
  if (row.failure_reason === null) return undefined;
  return { reason: FAILURES[row.failure_reason], message: row.failure_message ?? "" };
}
