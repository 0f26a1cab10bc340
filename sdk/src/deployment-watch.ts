import {
  DeploymentServiceService,
  DeploymentState,
  WatchDeploymentRequest,
  WatchDeploymentResponse,
} from "@slipway/proto";
import type { Deployment, RegionProgress } from "@slipway/proto";
import { required } from "./errors.js";
import type { WatchPlan } from "./watch.js";

/** A deployment and how far each of its regions is. */
export interface DeploymentProgress {
  deployment: Deployment;
  regions: RegionProgress[];
}

/** Whether it stays as it is for ever. */
export function isFinalDeployment({ state }: Deployment): boolean {
  return (
    state === DeploymentState.SUCCEEDED ||
    state === DeploymentState.FAILED ||
    state === DeploymentState.SUPERSEDED
  );
}

/**
 * The plan of a deployment's watch. A state older than one seen is dropped; counts have no order of
 * their own, so that of them the newest message stands. Repetitions say nothing.
 */
export function deploymentWatchPlan(
  id: string,
): WatchPlan<WatchDeploymentRequest, WatchDeploymentResponse, DeploymentProgress> {
  let revision = 0;
  let last: Uint8Array | undefined;
  let done = false;
  return {
    method: DeploymentServiceService.watchDeployment,
    request: () => WatchDeploymentRequest.fromPartial({ id }),
    take: (response) => {
      const deployment = required(response.deployment, "WatchDeployment", "deployment");
      done = isFinalDeployment(deployment);
      if (deployment.revision < revision && !done) return [];
      const bytes = WatchDeploymentResponse.encode(response).finish();
      if (!done && last !== undefined && Buffer.from(bytes).equals(last)) return [];
      revision = deployment.revision;
      last = bytes;
      return [{ deployment, regions: response.regions }];
    },
    isDone: () => done,
    quietMs: () => undefined,
    atEnd: () => undefined,
    held: () => [],
  };
}
