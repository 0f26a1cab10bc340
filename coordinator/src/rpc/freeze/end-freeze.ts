import type { EndFreezeRequest, EndFreezeResponse } from "@slipway/proto";
import type { Context } from "../../context.js";
import { endFreeze as store } from "../../freeze/freezes.js";
import { Violations } from "../../validate.js";
import { checkAuthor } from "../author.js";
import type { CallInfo } from "../handler.js";

export async function endFreeze(
  { db, log, events }: Context,
  { id, actor, reason }: EndFreezeRequest,
  { identity }: Pick<CallInfo, "identity">,
): Promise<EndFreezeResponse> {
  const found = new Violations();
  found.uuid("id", id);
  const by = checkAuthor({ actor, reason, tokenId: identity.tokenId }, found);
  found.throwIfAny();
  if (await store(db, id, by)) {
    log.info({ freezeId: id, actor, reason }, "freeze ended");
    // Deployments that it held up go on at once.
    events.publish({ kind: "deployment", id: "" });
  }
  return {};
}
