import { Role as MemberRole, TokenRole, type Token } from "@slipway/proto";
import type { Role } from "../../auth/identity.js";
import type { StoredToken } from "../../auth/token-store.js";
import { roleOf } from "../../membership/roles.js";

const ROLES: Readonly<Record<Role, TokenRole>> = {
  viewer: TokenRole.VIEWER,
  deployer: TokenRole.DEPLOYER,
  admin: TokenRole.ADMIN,
  builder: TokenRole.BUILDER,
  region: TokenRole.REGION,
  enrol: TokenRole.ENROL,
};

/** A token as it is shown. */
export function viewToken(token: StoredToken): Token {
  const { expireTime, revokeTime, lastUseTime, memberRole, applications, role, ...rest } = token;
  return {
    id: rest.id,
    name: rest.name,
    role: ROLES[role],
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

/** Undefined for a role that is not known. */
export function roleFrom(role: TokenRole): Role | undefined {
  const [name] = Object.entries(ROLES).find(([, value]) => value === role) ?? [];
  return name as Role | undefined;
}
