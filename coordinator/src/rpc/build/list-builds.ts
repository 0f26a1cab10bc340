import { BuildStatus, type ListBuildsRequest, type ListBuildsResponse } from "@slipway/proto";
import { listBuilds as readBuilds } from "../../build/store.js";
import { viewQueued } from "../../build/view.js";
import type { Context } from "../../context.js";
import { UUID_PATTERN, Violations } from "../../validate.js";
import { decodePageToken, nextPageToken, pageSize } from "../page.js";

const KNOWN_STATUSES: readonly BuildStatus[] = [
  BuildStatus.QUEUED,
  BuildStatus.RUNNING,
  BuildStatus.SUCCEEDED,
  BuildStatus.FAILED,
];

export async function listBuilds(
  context: Context,
  { application, status, commitSha, pageSize: asked, pageToken }: ListBuildsRequest,
): Promise<ListBuildsResponse> {
  const found = new Violations();
  if (application !== "") found.name("application", application);
  if (commitSha !== "") found.commitSha("commit_sha", commitSha);
  const anyStatus = status === BuildStatus.UNSPECIFIED;
  found.check(anyStatus || KNOWN_STATUSES.includes(status), "status", "is not known");
  found.throwIfAny();
  const limit = pageSize(asked, { byDefault: 50, most: 1_000 });
  const filter = {
    application: application === "" ? undefined : application,
    status: anyStatus ? undefined : status,
    commitSha: commitSha === "" ? undefined : commitSha,
    before: decodePageToken(pageToken, UUID_PATTERN),
  };
  const builds = await viewQueued(context, await readBuilds(context.db, filter, limit));
  return { builds, nextPageToken: nextPageToken(builds, limit, ({ id }) => id) };
}
