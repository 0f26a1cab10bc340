import { MembershipServiceService, type MembershipServiceServer } from "@slipway/proto";
import { admin, ENROL, fleet, OPEN, viewer } from "../../auth/rules.js";
import type { Handlers, ServiceEntry } from "../handler.js";
import { getTime } from "./get-time.js";
import { join } from "./join.js";
import { listMembers } from "./list-members.js";
import { releaseMember } from "./release-member.js";
import { renew } from "./renew.js";
import { revokeMember } from "./revoke-member.js";

export function membershipService(handlers: Handlers): ServiceEntry {
  const implementation: MembershipServiceServer = {
    join: handlers.unary(ENROL, join),
    getTime: handlers.unary(OPEN, getTime),
    renew: handlers.unary(OPEN, renew),
    listMembers: handlers.unary(viewer(fleet), listMembers),
    revokeMember: handlers.unary(admin(fleet, "actor"), revokeMember),
    releaseMember: handlers.unary(admin(fleet, "actor"), releaseMember),
  };
  return { definition: MembershipServiceService, implementation };
}
