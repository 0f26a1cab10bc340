import type { DecommissionHostRequest, DecommissionHostResponse } from "@slipway/proto";
import type { Context } from "../../context.js";
import { revokeRow } from "../../membership/revoke.js";
import * as enrolment from "../../status/enrolment.js";
import { Violations } from "../../validate.js";
import { checkAuthor } from "../author.js";
import type { CallInfo } from "../handler.js";

export async function decommissionHost(
  { db, events, log, revocations, revokedUsers }: Context,
  { hostId, actor, reason }: DecommissionHostRequest,
  { identity }: Pick<CallInfo, "identity">,
): Promise<DecommissionHostResponse> {
  const found = new Violations();
  found.name("host_id", hostId);
  const by = checkAuthor({ actor, reason, tokenId: identity.tokenId }, found);
  found.throwIfAny();
  if (await enrolment.decommissionHost(db, hostId, by, revokeRow)) {
    log.info({ hostId, actor, reason }, "host decommissioned");
    events.publish({ kind: "member", id: hostId });
    // Done again now and then: it waits neither for NATS nor for us.
    revocations.publishSoon();
    revokedUsers?.publishSoon();
  }
  return {};
}
