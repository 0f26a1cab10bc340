import type { ListDeploymentsRequest, ListDeploymentsResponse } from "@slipway/proto";
import type { Context } from "../../context.js";
import * as store from "../../rollout/deployment-store.js";
import { UUID_PATTERN, Violations } from "../../validate.js";
import { decodePageToken, nextPageToken, pageSize } from "../page.js";

export async function listDeployments(
  { db }: Context,
  { application, pageSize: asked, pageToken }: ListDeploymentsRequest,
): Promise<ListDeploymentsResponse> {
  const found = new Violations();
  if (application !== "") found.name("application", application);
  found.throwIfAny();
  const limit = pageSize(asked, { byDefault: 50, most: 1_000 });
  const before = decodePageToken(pageToken, UUID_PATTERN);
  const stored = await store.listDeployments(db, {
    application,
    limit,
    ...(before === undefined ? {} : { before }),
  });
  const deployments = stored.map(({ deployment }) => deployment);
  return { deployments, nextPageToken: nextPageToken(deployments, limit, ({ id }) => id) };
}
