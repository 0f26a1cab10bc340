import type { RemoveApplicationRequest, RemoveApplicationResponse } from "@slipway/proto";
import { removeApplication as remove } from "../../application/remove.js";
import type { Context } from "../../context.js";
import { Violations } from "../../validate.js";
import { checkAuthor } from "../author.js";
import type { CallInfo } from "../handler.js";

export async function removeApplication(
  context: Context,
  { name, actor, reason }: RemoveApplicationRequest,
  { identity }: Pick<CallInfo, "identity">,
): Promise<RemoveApplicationResponse> {
  const found = new Violations();
  found.name("name", name);
  const by = checkAuthor({ actor, reason, tokenId: identity.tokenId }, found);
  found.throwIfAny();
  return { application: await remove(context, name, by) };
}
