import type { CreateDeploymentRequest, CreateDeploymentResponse } from "@slipway/proto";
import type { Context } from "../../context.js";
import * as rollout from "../../rollout/create-deployment.js";
import { Violations } from "../../validate.js";
import { checkAsked } from "./asked.js";

export async function createDeployment(
  context: Context,
  request: CreateDeploymentRequest,
): Promise<CreateDeploymentResponse> {
  const { buildId, waitForReplication } = request;
  const found = new Violations();
  found.uuid("build_id", buildId);
  const asked = checkAsked(request, `deploy ${buildId}`, found);
  found.throwIfAny();
  const created = await rollout.createDeployment(context, buildId, waitForReplication, asked);
  return { deployment: created.deployment };
}
