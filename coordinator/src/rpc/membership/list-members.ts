import {
  type ListMembersRequest,
  type ListMembersResponse,
  NAME_PATTERN,
  Role,
} from "@slipway/proto";
import type { Context } from "../../context.js";
import { listMembers as readMembers } from "../../membership/member-store.js";
import { isMemberRole } from "../../membership/roles.js";
import { Violations } from "../../validate.js";
import { decodePageToken, nextPageToken, pageSize } from "../page.js";

export async function listMembers(
  { db }: Context,
  { region, role, pageSize: asked, pageToken }: ListMembersRequest,
): Promise<ListMembersResponse> {
  const found = new Violations();
  if (region !== "") found.name("region", region);
  const isKnown = role === Role.UNSPECIFIED || isMemberRole(role);
  found.check(isKnown, "role", "must be host, region or builder");
  found.throwIfAny();
  const limit = pageSize(asked, { byDefault: 100, most: 1_000 });
  const after = decodePageToken(pageToken, NAME_PATTERN);
  const members = await readMembers(db, {
    ...(region === "" ? {} : { region }),
    ...(isMemberRole(role) ? { role } : {}),
    ...(after === undefined ? {} : { after }),
    limit,
  });
  return { members, nextPageToken: nextPageToken(members, limit, ({ id }) => id) };
}
