import type { RollBackRequest, RollBackResponse } from "@slipway/proto";
import type { Context } from "../../context.js";
import * as rollout from "../../rollout/roll-back.js";
import { Violations } from "../../validate.js";
import { checkAsked } from "./asked.js";

export async function rollBack(
  context: Context,
  request: RollBackRequest,
): Promise<RollBackResponse> {
  const { application, toBuildId } = request;
  const found = new Violations();
  found.name("application", application);
  if (toBuildId !== "") found.uuid("to_build_id", toBuildId);
  const asked = checkAsked(
    request,
    `roll back ${application} to ${toBuildId || "previous"}`,
    found,
  );
  found.throwIfAny();
  const created = await rollout.rollBack(context, application, toBuildId, asked);
  return { deployment: created.deployment };
}
