import type { RevokeMemberRequest, RevokeMemberResponse } from "@slipway/proto";
import type { Context } from "../../context.js";
import * as membership from "../../membership/revoke.js";
import { Violations } from "../../validate.js";
import { checkAuthor } from "../author.js";
import type { CallInfo } from "../handler.js";

export async function revokeMember(
  { db, events, log, revocations, revokedUsers }: Context,
  { id, actor, reason, allowMissing }: RevokeMemberRequest,
  { identity }: Pick<CallInfo, "identity">,
): Promise<RevokeMemberResponse> {
  const found = new Violations();
  found.name("id", id);
  const by = checkAuthor({ actor, reason, tokenId: identity.tokenId }, found);
  found.throwIfAny();
  if (await membership.revokeMember(db, id, by, { allowMissing })) {
    log.info({ id, actor, reason }, "member revoked");
    events.publish({ kind: "member", id });
    // Done again now and then: it waits neither for NATS nor for us.
    revocations.publishSoon();
    revokedUsers?.publishSoon();
  }
  return {};
}
