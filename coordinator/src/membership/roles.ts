import { Role } from "@slipway/proto";

/** What a member can be. */
export type MemberRole = Role.HOST | Role.REGION | Role.BUILDER;
/** The same in the database. */
export type RoleName = "HOST" | "REGION" | "BUILDER";

const NAMES: Readonly<Record<MemberRole, RoleName>> = {
  [Role.HOST]: "HOST",
  [Role.REGION]: "REGION",
  [Role.BUILDER]: "BUILDER",
};
const ROLES: Readonly<Record<RoleName, MemberRole>> = {
  HOST: Role.HOST,
  REGION: Role.REGION,
  BUILDER: Role.BUILDER,
};

export function isMemberRole(role: Role): role is MemberRole {
  return role in NAMES;
}

export const roleName = (role: MemberRole): RoleName => NAMES[role];

export const roleOf = (name: RoleName): MemberRole => ROLES[name];

/** "host web-1 of region eu", "builder b1". */
export function describeMember(member: { role: MemberRole; id: string; region: string }): string {
  const { role, id, region } = member;
  if (role === Role.BUILDER) return `builder ${id}`;
  return `${role === Role.HOST ? "host" : "region agent"} ${id} of region ${region}`;
}
