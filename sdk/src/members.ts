import {
  type Member,
  ListMembersRequest,
  MembershipServiceService,
  ReleaseMemberRequest,
  RevokeMemberRequest,
  type Role,
} from "@slipway/proto";
import type { Caller } from "./caller.js";
import type { CallOptions } from "./options.js";
import { everyItem, type Page, type PageRequest } from "./pages.js";

/** Which members to list; everything left out takes all. */
export interface MemberFilter {
  region?: string;
  role?: Role;
}

/** Which member, and why. */
export interface MemberRequest {
  id: string;
  /** Who asks, for people to read. Default empty. */
  actor?: string;
  /** Why, for people to read. Default empty. */
  reason?: string;
}

/** Which member to revoke, and why. */
export interface RevokeRequest extends MemberRequest {
  /** Also an id that never joined, as one whose identity was made by hand. Default false. */
  allowMissing?: boolean;
}

/** Hosts, region agents and builders that have joined the fleet with keys of their own. */
export interface Members {
  /** All that fit, by id. */
  list(filter?: MemberFilter, options?: CallOptions): AsyncIterable<Member>;
  listPage(filter?: MemberFilter & PageRequest, options?: CallOptions): Promise<Page<Member>>;
  /**
   * Takes a member out of the fleet for good: its certificate holds no more, and its id cannot join
   * again. A host is decommissioned as well.
   * @throws SlipwayError NOT_FOUND if there is none of that id.
   */
  revoke(request: RevokeRequest, options?: CallOptions): Promise<void>;
  /**
   * Lets another key join under a member's id, as when its machine is set up again.
   * @throws SlipwayError NOT_FOUND, and FAILED_PRECONDITION if it was revoked.
   */
  release(request: MemberRequest, options?: CallOptions): Promise<void>;
}

export function createMembers(caller: Caller): Members {
  const { listMembers, revokeMember, releaseMember } = MembershipServiceService;
  const listPage: Members["listPage"] = async (filter = {}, options) => {
    const request = ListMembersRequest.fromPartial(filter);
    const page = await caller.unary(listMembers, "idempotent", request, options);
    return { items: page.members, nextPageToken: page.nextPageToken };
  };
  return {
    list: (filter, options) =>
      everyItem((pageToken) => listPage({ ...filter, pageToken }, options)),
    listPage,
    // The same again changes nothing.
    revoke: async (fields, options) => {
      const request = RevokeMemberRequest.fromPartial(fields);
      await caller.unary(revokeMember, "idempotent", request, options);
    },
    // Not the same again, when another has joined meanwhile.
    release: async (fields, options) => {
      const request = ReleaseMemberRequest.fromPartial(fields);
      await caller.unary(releaseMember, "once", request, options);
    },
  };
}
