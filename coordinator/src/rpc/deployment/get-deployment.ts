import type { GetDeploymentRequest, GetDeploymentResponse, Replication } from "@slipway/proto";
import type { Context } from "../../context.js";
import { notFound } from "../../errors.js";
import { findDeployment } from "../../rollout/deployment-store.js";
import { progressOf } from "../../rollout/progress.js";
import { Violations } from "../../validate.js";

export async function getDeployment(
  context: Context,
  { id }: GetDeploymentRequest,
): Promise<GetDeploymentResponse> {
  const found = new Violations();
  found.uuid("id", id);
  found.throwIfAny();
  const stored = await findDeployment(context.db, id);
  if (stored === undefined) throw notFound("deployment", id);
  const replications = await replicationsOf(context, stored.deployment.artifactDigest);
  return { deployment: stored.deployment, ...progressOf(context, stored, replications) };
}

/** That database being away is no reason to hide a deployment. */
async function replicationsOf(
  { replicationStatus, log }: Context,
  digest: string,
): Promise<readonly Replication[]> {
  try {
    return (await replicationStatus.get([digest])).get(digest) ?? [];
  } catch (error) {
    log.warn({ err: error, digest }, "a deployment is shown without its replication status");
    return [];
  }
}
