import type { WhoAmIRequest, WhoAmIResponse } from "@slipway/proto";
import { isAuthenticated } from "../../auth/identity.js";
import { readTokens } from "../../auth/token-store.js";
import type { Context } from "../../context.js";
import type { CallInfo } from "../handler.js";
import { viewToken } from "./view.js";

export async function whoAmI(
  { db }: Context,
  _request: WhoAmIRequest,
  { identity }: Pick<CallInfo, "identity">,
): Promise<WhoAmIResponse> {
  if (!isAuthenticated(identity)) return { token: undefined };
  const token = (await readTokens(db, [identity.tokenId])).get(identity.tokenId);
  return { token: token && viewToken(token) };
}
