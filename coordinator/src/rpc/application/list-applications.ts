import {
  NAME_PATTERN,
  type ListApplicationsRequest,
  type ListApplicationsResponse,
} from "@slipway/proto";
import * as store from "../../application/store.js";
import type { Context } from "../../context.js";
import type { CallInfo } from "../handler.js";
import { decodePageToken, nextPageToken, pageSize } from "../page.js";

export async function listApplications(
  { db }: Context,
  { pageSize: asked, pageToken, includeRemoved }: ListApplicationsRequest,
  { identity }: Pick<CallInfo, "identity">,
): Promise<ListApplicationsResponse> {
  const limit = pageSize(asked, { byDefault: 100, most: 1_000 });
  const after = decodePageToken(pageToken, NAME_PATTERN);
  const applications = await store.listApplications(db, {
    after,
    limit,
    includeRemoved,
    among: identity.applications,
  });
  return { applications, nextPageToken: nextPageToken(applications, limit, ({ name }) => name) };
}
