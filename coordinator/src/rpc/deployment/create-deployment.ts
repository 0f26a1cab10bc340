import type { CreateDeploymentRequest, CreateDeploymentResponse } from "@slipway/proto";
import type { Context } from "../../context.js";
import * as rollout from "../../rollout/create-deployment.js";
import { Violations } from "../../validate.js";
import { checkCreate } from "./asked.js";

export async function createDeployment(
  context: Context,
  request: CreateDeploymentRequest,
): Promise<CreateDeploymentResponse> {
  const found = new Violations();
  const { options, asked } = checkCreate(request, found);
  found.throwIfAny();
  const created = await rollout.createDeployment(context, options, asked);
  return { deployment: created.deployment };
}
