import { Role as MemberRole, TOKEN_ROLES, type Token } from "@slipway/proto";
import type { StoredToken } from "../../auth/token-store.js";
import { roleOf } from "../../membership/roles.js";

/** A token as it is shown. */
export function viewToken(token: StoredToken): Token {
  const { expireTime, revokeTime, lastUseTime, memberRole, applications, role, ...rest } = token;
  return {
    id: rest.id,
    name: rest.name,
    role: TOKEN_ROLES[role],
    applications: [...applications],
    region: rest.region,
    subject: rest.subject,
    memberRole: memberRole === null ? MemberRole.UNSPECIFIED : roleOf(memberRole),
    maxUses: rest.maxUses,
    uses: rest.uses,
    allowRejoin: rest.allowRejoin,
    creator: rest.creator,
    createTime: rest.createTime,
    expireTime: expireTime ?? undefined,
    revokeTime: revokeTime ?? undefined,
    lastUseTime: lastUseTime ?? undefined,
  };
}
