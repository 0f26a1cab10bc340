import { HOST_BUCKETS, type Strategy } from "@slipway/proto";
import { limitsOf } from "./deployment.js";
import { planSteps } from "./plan-steps.js";
import type { Snapshot } from "./snapshot.js";
import { resting } from "./transition.js";

/** What a deployment begins as. */
export interface Beginning {
  strategy: Strategy;
  regions: readonly string[];
  isRollback: boolean;
  creator: string;
  overrideFreeze: boolean;
  /** By the database's clock. */
  now: number;
  /** How long it may take until the first host switches. */
  startTimeoutMs: number;
}

/**
 * A new deployment: all of its hosts get the bytes, none switches yet. Of a roll-back all switch at
 * once, since what they run is bad.
 */
export function begin(given: Beginning): Snapshot {
  const { strategy, regions, isRollback, now } = given;
  const { steps, pace } = planSteps(strategy, regions);
  const snapshot: Omit<Snapshot, "state"> = {
    isRollback,
    creator: given.creator,
    regions,
    steps,
    pace,
    step: 1,
    phase: isRollback ? "SWITCHING" : "STAGING",
    phaseTime: now,
    limits: limitsOf(regions, isRollback ? HOST_BUCKETS : 0),
    raiseTime: now,
    pause: undefined,
    promotedStep: 0,
    blockedBy: "",
    heldTime: undefined,
    acceptedSilence: undefined,
    overrideFreeze: given.overrideFreeze,
    failure: undefined,
    supersededBy: "",
    startTime: isRollback ? now : undefined,
    finishTime: undefined,
    deadline: now + (isRollback ? pace.timeoutMs : given.startTimeoutMs),
  };
  return { ...snapshot, state: resting(snapshot) };
}
