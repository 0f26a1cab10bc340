import type { GetDeploymentRequest, GetDeploymentResponse } from "@slipway/proto";
import type { Context } from "../../context.js";
import { notFound } from "../../errors.js";
import { progressOf } from "../../rollout/deployment-feeds.js";
import { findDeployment } from "../../rollout/deployment-store.js";
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
  return { deployment: stored.deployment, regions: progressOf(context, stored), totals: undefined };
}
