import type { CreateDeploymentRequest, CreateDeploymentResponse } from "@slipway/proto";
import type { Context } from "../../context.js";
import * as rollout from "../../rollout/create-deployment.js";
import { Violations } from "../../validate.js";
import type { CallInfo } from "../handler.js";
import { checkCreate } from "./asked.js";

export async function createDeployment(
  context: Context,
  request: CreateDeploymentRequest,
  { identity, signal }: Pick<CallInfo, "identity" | "signal">,
): Promise<CreateDeploymentResponse> {
  const found = new Violations();
  const { options, asked } = checkCreate(request, found);
  found.throwIfAny();
  const created = await rollout.createDeployment(context, options, {
    ...asked,
    tokenId: identity.tokenId,
    signal,
  });
  return { deployment: created.deployment };
}
