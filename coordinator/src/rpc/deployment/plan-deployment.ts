import type { PlanDeploymentRequest, PlanDeploymentResponse } from "@slipway/proto";
import type { Context } from "../../context.js";
import { invalidArgument } from "../../errors.js";
import { chooseBuild } from "../../rollout/create-deployment.js";
import * as rollout from "../../rollout/plan-deployment.js";
import { chooseEarlier } from "../../rollout/roll-back.js";
import { Violations } from "../../validate.js";
import { checkCreate, checkRollBack } from "./asked.js";

export async function planDeployment(
  context: Context,
  { change }: PlanDeploymentRequest,
): Promise<PlanDeploymentResponse> {
  const found = new Violations();
  switch (change?.$case) {
    case "create": {
      const { options, asked } = checkCreate(change.value, found, "create.");
      found.throwIfAny();
      const { application, choose } = await chooseBuild(context, options, "create.");
      return rollout.planDeployment(context, application, asked, choose);
    }
    case "rollBack": {
      const { application, toBuildId } = change.value;
      const asked = checkRollBack(change.value, found, "roll_back.");
      found.throwIfAny();
      const choose = chooseEarlier(application, toBuildId);
      return rollout.planDeployment(context, application, asked, choose);
    }
    case undefined:
  }
  throw invalidArgument([{ field: "change", description: "is missing: create or roll_back" }]);
}
