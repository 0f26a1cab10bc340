import { MembershipServiceService, type MembershipServiceServer } from "@slipway/proto";
import type { Handlers, ServiceEntry } from "../handler.js";
import { getTime } from "./get-time.js";
import { join } from "./join.js";
import { listMembers } from "./list-members.js";
import { releaseMember } from "./release-member.js";
import { renew } from "./renew.js";
import { revokeMember } from "./revoke-member.js";

export function membershipService(handlers: Handlers): ServiceEntry {
  const implementation: MembershipServiceServer = {
    join: handlers.unary(join),
    getTime: handlers.unary(getTime),
    renew: handlers.unary(renew),
    listMembers: handlers.unary(listMembers),
    revokeMember: handlers.unary(revokeMember),
    releaseMember: handlers.unary(releaseMember),
  };
  return { definition: MembershipServiceService, implementation };
}
