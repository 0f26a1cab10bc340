import type { SubmitBuildRequest, SubmitBuildResponse } from "@slipway/proto";
import { getBuild } from "../../build/store.js";
import { viewBuild } from "../../build/view.js";
import type { Context } from "../../context.js";
import { Violations } from "../../validate.js";
import type { CallInfo } from "../handler.js";

export async function submitBuild(
  context: Context,
  { application, commitSha, idempotencyKey, submitter }: SubmitBuildRequest,
  { identity, signal }: Pick<CallInfo, "identity" | "signal">,
): Promise<SubmitBuildResponse> {
  const found = new Violations();
  found.name("application", application);
  found.commitSha("commit_sha", commitSha);
  found.text("idempotency_key", idempotencyKey, 255);
  found.text("submitter", submitter, 255);
  found.throwIfAny();
  const { tokenId } = identity;
  const submission = { application, commitSha, idempotencyKey, submitter, tokenId };
  const { buildId, submissionId, merged } = await context.queue.submit(submission, signal);
  context.log.info({ application, commitSha, buildId, submitter, merged }, "build submitted");
  const build = await viewBuild(context, await getBuild(context.db, buildId));
  return { build, submissionId, merged };
}
