import { Role } from "../gen/slipway/v1/swarm.js";
import { TokenRole } from "../gen/slipway/v1/token.js";

/** What members' roles are called: in commands, files and what is shown. */
export const MEMBER_ROLES = {
  host: Role.HOST,
  region: Role.REGION,
  builder: Role.BUILDER,
} as const;
export type MemberRoleName = keyof typeof MEMBER_ROLES;

/** The same of tokens; in the database too. */
export const TOKEN_ROLES = {
  viewer: TokenRole.VIEWER,
  deployer: TokenRole.DEPLOYER,
  admin: TokenRole.ADMIN,
  builder: TokenRole.BUILDER,
  region: TokenRole.REGION,
  enrol: TokenRole.ENROL,
} as const;
export type TokenRoleName = keyof typeof TOKEN_ROLES;

/** Undefined for a role that is not known. */
export function memberRoleName(role: Role): MemberRoleName | undefined {
  return nameIn(MEMBER_ROLES, role);
}

/** Undefined for a role that is not known. */
export function tokenRoleName(role: TokenRole): TokenRoleName | undefined {
  return nameIn(TOKEN_ROLES, role);
}

function nameIn<N extends string>(roles: Readonly<Record<N, number>>, role: number): N | undefined {
  return (Object.keys(roles) as N[]).find((name) => roles[name] === role);
}
