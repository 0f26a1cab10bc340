import type { RevokeMemberRequest, RevokeMemberResponse } from "@slipway/proto";
import type { Context } from "../../context.js";
import * as membership from "../../membership/revoke.js";
import { Violations } from "../../validate.js";
import { checkAuthor } from "../author.js";

export async function revokeMember(
  { db, log, revocations }: Context,
  { id, actor, reason, allowMissing }: RevokeMemberRequest,
): Promise<RevokeMemberResponse> {
  const found = new Violations();
  found.name("id", id);
  const by = checkAuthor({ actor, reason }, found);
  found.throwIfAny();
  if (await membership.revokeMember(db, id, by, { allowMissing })) {
    log.info({ id, actor, reason }, "member revoked");
    // Done again now and then: it waits neither for NATS nor for us.
    revocations.publishSoon();
  }
  return {};
}
