import type { CancelBuildRequest, CancelBuildResponse } from "@slipway/proto";
import { getBuild } from "../../build/store.js";
import { viewBuilds } from "../../build/view.js";
import type { Context } from "../../context.js";
import { checkAuthor } from "../author.js";
import type { CallInfo } from "../handler.js";
import { Violations } from "../../validate.js";

export async function cancelBuild(
  context: Context,
  { id, submissionId, actor, reason }: CancelBuildRequest,
  { identity }: Pick<CallInfo, "identity">,
): Promise<CancelBuildResponse> {
  const found = new Violations();
  found.uuid("id", id);
  if (submissionId !== "") found.uuid("submission_id", submissionId);
  const by = checkAuthor({ actor, reason, tokenId: identity.tokenId }, found);
  found.throwIfAny();
  await context.queue.cancel(id, submissionId === "" ? undefined : submissionId, by);
  context.log.info({ buildId: id, submissionId, actor }, "build cancelled or detached from");
  const [build] = await viewBuilds(context, [await getBuild(context.db, id)]);
  return { build };
}
