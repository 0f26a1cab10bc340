import type { RevokeTokenRequest, RevokeTokenResponse } from "@slipway/proto";
import * as store from "../../auth/token-store.js";
import type { Context } from "../../context.js";
import { Violations } from "../../validate.js";
import { checkAuthor } from "../author.js";
import type { CallInfo } from "../handler.js";

export async function revokeToken(
  { db, log, events }: Context,
  { id, actor, reason }: RevokeTokenRequest,
  { identity }: Pick<CallInfo, "identity">,
): Promise<RevokeTokenResponse> {
  const found = new Violations();
  found.check(store.isTokenId(id), "id", "must be a token's id: 24 hexadecimal digits");
  const by = checkAuthor({ actor, reason, tokenId: identity.tokenId }, found);
  found.throwIfAny();
  if (await store.revokeToken(db, id, by)) {
    log.info({ tokenId: id, actor, reason }, "token revoked");
    events.publish({ kind: "token", id });
  }
  return {};
}
