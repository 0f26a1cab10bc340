import type { ReleaseMemberRequest, ReleaseMemberResponse } from "@slipway/proto";
import type { Context } from "../../context.js";
import * as membership from "../../membership/revoke.js";
import { Violations } from "../../validate.js";
import { checkAuthor } from "../author.js";
import type { CallInfo } from "../handler.js";

export async function releaseMember(
  { db, log }: Context,
  { id, actor, reason }: ReleaseMemberRequest,
  { identity }: Pick<CallInfo, "identity">,
): Promise<ReleaseMemberResponse> {
  const found = new Violations();
  found.name("id", id);
  const by = checkAuthor({ actor, reason, tokenId: identity.tokenId }, found);
  found.throwIfAny();
  if (await membership.releaseMember(db, id, by)) {
    log.info({ id, actor, reason }, "member released");
  }
  return {};
}
