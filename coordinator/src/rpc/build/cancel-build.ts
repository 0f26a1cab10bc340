import type { CancelBuildRequest, CancelBuildResponse } from "@slipway/proto";
import { getBuild } from "../../build/store.js";
import { viewBuilds } from "../../build/view.js";
import type { Context } from "../../context.js";
import { Violations } from "../../validate.js";

export async function cancelBuild(
  context: Context,
  { id, submissionId }: CancelBuildRequest,
): Promise<CancelBuildResponse> {
  const found = new Violations();
  found.uuid("id", id);
  if (submissionId !== "") found.uuid("submission_id", submissionId);
  found.throwIfAny();
  await context.queue.cancel(id, submissionId === "" ? undefined : submissionId);
  context.log.info({ buildId: id, submissionId }, "build cancelled or detached from");
  const [build] = await viewBuilds(context, [await getBuild(context.db, id)]);
  return { build };
}
