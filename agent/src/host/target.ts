import type { Release } from "@slipway/proto";
import type { FailureRecord } from "./application-state.js";
import { isChosen } from "./choose.js";
import type { VerifiedGoal } from "./verify-goal.js";

/** What a goal asks of this host. */
export type Target =
  /** Run this release; `held` if it is only to have something while outside the percentage. */
  | { kind: "run"; release: Release; held: boolean }
  /** Outside the percentage: keep what runs. */
  | { kind: "keep" }
  /** The goal's release failed here at this generation: do not try again. */
  | { kind: "failed"; failure: FailureRecord };

/** Decides what a host does about a goal. */
export function chooseTarget(
  hostId: string,
  { goal, run }: VerifiedGoal,
  state: { hasActive: boolean; failed: FailureRecord | undefined },
): Target {
  if (isChosen(hostId, goal.deploymentId, goal.bucketLimit)) {
    return state.failed?.generation === goal.generation
      ? { kind: "failed", failure: state.failed }
      : { kind: "run", release: run, held: false };
  }
  // A new host that runs nothing yet must not wait for the end of a canary.
  return state.hasActive || goal.previous === undefined
    ? { kind: "keep" }
    : { kind: "run", release: goal.previous, held: true };
}
