import {
  NAME_PATTERN,
  type ListEnrolledHostsRequest,
  type ListEnrolledHostsResponse,
} from "@slipway/proto";
import type { Context } from "../../context.js";
import * as enrolment from "../../status/enrolment.js";
import { Violations } from "../../validate.js";
import { decodePageToken, nextPageToken, pageSize } from "../page.js";

const PAGE_SIZE = 10_000;

export async function listEnrolledHosts(
  { db }: Context,
  { region, pageSize: asked, pageToken }: ListEnrolledHostsRequest,
): Promise<ListEnrolledHostsResponse> {
  const found = new Violations();
  found.name("region", region);
  found.throwIfAny();
  const limit = pageSize(asked, { byDefault: PAGE_SIZE, most: PAGE_SIZE });
  const hostId = decodePageToken(pageToken, NAME_PATTERN);
  const after = hostId === undefined ? {} : { after: { region, hostId } };
  const page = await enrolment.listHosts(db, { region, limit, ...after });
  const hosts = page.map(({ host }) => host);
  return { hosts, nextPageToken: nextPageToken(hosts, limit, (last) => last.hostId) };
}
