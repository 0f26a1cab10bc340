import type { RollBackRequest, RollBackResponse } from "@slipway/proto";
import type { Context } from "../../context.js";
import * as rollout from "../../rollout/roll-back.js";
import { Violations } from "../../validate.js";
import type { CallInfo } from "../handler.js";
import { checkRollBack } from "./asked.js";

export async function rollBack(
  context: Context,
  request: RollBackRequest,
  { identity, signal }: Pick<CallInfo, "identity" | "signal">,
): Promise<RollBackResponse> {
  const { application, toBuildId } = request;
  const found = new Violations();
  const asked = checkRollBack(request, found);
  found.throwIfAny();
  const created = await rollout.rollBack(context, application, toBuildId, {
    ...asked,
    tokenId: identity.tokenId,
    signal,
  });
  return { deployment: created.deployment };
}
