import {
  DeploymentServiceService,
  DeploymentState,
  WatchDeploymentRequest,
  WatchDeploymentResponse,
} from "@slipway/proto";
import type { Deployment, DeploymentTotals, RegionProgress } from "@slipway/proto";
import { required } from "./errors.js";
import type { WatchPlan } from "./watch.js";

/** A deployment and how far each of its regions is. */
export interface DeploymentProgress {
  deployment: Deployment;
  /** In the order of the deployment's own regions. */
  regions: RegionProgress[];
  /** All regions taken together: hosts by phase, bytes, bytes a second. Absent until they are counted. */
  totals: DeploymentTotals | undefined;
  /**
   * While the coordinator does not reach the global NATS: since when it has heard nothing of any region.
   * Counts are those that were last known, and no region's silence is its own.
   */
  unheardSince?: Date | undefined;
  /**
   * In a watch, while the coordinator cannot read the deployment from its database: since when. What is
   * told is as it was then, and the watch goes on.
   */
  staleSince?: Date | undefined;
}

/** Whether it stays as it is for ever. */
export function isFinalDeployment({ state }: Deployment): boolean {
  return (
    state === DeploymentState.SUCCEEDED ||
    state === DeploymentState.FAILED ||
    state === DeploymentState.SUPERSEDED ||
    state === DeploymentState.ABORTED
  );
}

/**
 * The plan of a deployment's watch. A new connection asks for what came after the newest revision
 * seen. A state older than that is dropped; counts have no order of their own, so that of them the
 * newest message stands. Repetitions say nothing.
 */
export function deploymentWatchPlan(
  id: string,
): WatchPlan<WatchDeploymentRequest, WatchDeploymentResponse, DeploymentProgress> {
  let revision = 0;
  let last: Uint8Array | undefined;
  let done = false;
  let resumes = true;
  return {
    method: DeploymentServiceService.watchDeployment,
    request: () =>
      WatchDeploymentRequest.fromPartial({ id, afterRevision: resumes ? revision : 0 }),
    take: (response) => {
      resumes = true;
      const deployment = required(response.deployment, "WatchDeployment", "deployment");
      done = isFinalDeployment(deployment);
      if (deployment.revision < revision && !done) return [];
      const bytes = WatchDeploymentResponse.encode(response).finish();
      if (!done && last !== undefined && Buffer.from(bytes).equals(last)) return [];
      revision = deployment.revision;
      last = bytes;
      const { regions, totals, unheardSince, staleSince } = response;
      return [{ deployment, regions, totals, unheardSince, staleSince }];
    },
    // Perhaps there is nothing new, perhaps nobody is there: the present state is always answered.
    mayBeSilent: () => {
      if (!resumes || revision === 0) return false;
      resumes = false;
      return true;
    },
    isDone: () => done,
    quietMs: () => undefined,
    atEnd: () => undefined,
    held: () => [],
  };
}
