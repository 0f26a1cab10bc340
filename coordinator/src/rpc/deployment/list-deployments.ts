import type { ListDeploymentsRequest, ListDeploymentsResponse } from "@slipway/proto";
import type { Context } from "../../context.js";
import * as store from "../../rollout/deployment-store.js";
import {
  decodePageToken,
  encodePageToken,
  pageSize,
  UUID_PATTERN,
  Violations,
} from "../../validate.js";

export async function listDeployments(
  { db }: Context,
  { application, pageSize: asked, pageToken }: ListDeploymentsRequest,
): Promise<ListDeploymentsResponse> {
  const found = new Violations();
  if (application !== "") found.name("application", application);
  found.throwIfAny();
  const limit = pageSize(asked, { byDefault: 50, most: 1_000 });
  const before = decodePageToken(pageToken, UUID_PATTERN);
  const page = await store.listDeployments(db, {
    application,
    limit,
    ...(before === undefined ? {} : { before }),
  });
  const last = page.length === limit ? page.at(-1) : undefined;
  return {
    deployments: page.map(({ deployment }) => deployment),
    nextPageToken: last === undefined ? "" : encodePageToken(last.deployment.id),
  };
}
