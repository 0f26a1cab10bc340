import {
  Role,
  tokenRoleName,
  type CreateTokenRequest,
  type CreateTokenResponse,
} from "@slipway/proto";
import * as store from "../../auth/token-store.js";
import { checkTerms } from "../../auth/token-terms.js";
import type { Context } from "../../context.js";
import { invalidArgument } from "../../errors.js";
import { Violations } from "../../validate.js";
import { checkAuthor } from "../author.js";
import type { CallInfo } from "../handler.js";
import { viewToken } from "./view.js";

export async function createToken(
  { db, log, clock }: Context,
  request: CreateTokenRequest,
  { identity }: Pick<CallInfo, "identity">,
): Promise<CreateTokenResponse> {
  const { actor, reason, memberRole, expireTime } = request;
  const found = new Violations();
  const by = checkAuthor({ actor, reason, tokenId: identity.tokenId }, found);
  found.throwIfAny();
  if (expireTime === undefined) {
    throw invalidArgument([{ field: "expire_time", description: "is missing" }]);
  }
  const asked = {
    ...request,
    role: tokenRoleName(request.role),
    memberRole: memberRole === Role.UNSPECIFIED ? undefined : memberRole,
  };
  const terms = checkTerms({ ...asked, expireTime }, clock.now(), Role.HOST);
  const { token, text } = await store.createToken(db, terms, by);
  log.info({ tokenId: token.id, name: token.name, role: token.role, actor }, "token created");
  return { token: viewToken(token), text };
}
