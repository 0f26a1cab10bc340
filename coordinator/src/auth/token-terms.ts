import { HUMAN_ROLES, type Role } from "./identity.js";
import type { TokenTerms } from "./token-store.js";
import { isMemberRole, roleName } from "../membership/roles.js";
import { type Role as MemberRole } from "@slipway/proto";
import { Violations } from "../validate.js";

const MAX_NAME_CHARACTERS = 100;
const MAX_APPLICATIONS = 100;
const MAX_USES = 1_000_000;
const MAX_VALID_MS = 366 * 24 * 3_600_000;

/** What is asked of a new token. */
export interface AskedTerms {
  name: string;
  role: Role | undefined;
  applications: readonly string[];
  region: string;
  subject: string;
  /** Undefined: not said. */
  memberRole: MemberRole | undefined;
  maxUses: number;
  allowRejoin: boolean;
  /** Undefined: it never expires, which only the first token of a fleet may. */
  expireTime: Date | undefined;
}

/** Checks what a token is to be. @throws DomainError INVALID_ARGUMENT */
export function checkTerms(asked: AskedTerms, now: number, byDefault: MemberRole): TokenTerms {
  const { role, applications, region, subject, memberRole, maxUses, allowRejoin } = asked;
  const found = new Violations();
  const name = asked.name.trim();
  found.check(name !== "", "name", "is missing: the audit shows who acts by it");
  found.text("name", name, MAX_NAME_CHARACTERS);
  // What the coordinator does by itself goes under this name.
  const isOwn = name.normalize("NFKC").toLowerCase() === "slipway";
  found.check(!isOwn, "name", "must not be slipway: that is the coordinator itself");
  found.check(role !== undefined, "role", "is missing");
  const isHuman = HUMAN_ROLES.some((human) => human === role);
  const isEnrol = role === "enrol";
  found.check(
    applications.length === 0 || isHuman,
    "applications",
    "must be empty for this role: only viewer, deployer and admin can be limited to some",
  );
  const few = `must be at most ${MAX_APPLICATIONS}`;
  if (found.check(applications.length <= MAX_APPLICATIONS, "applications", few)) {
    for (const [index, each] of applications.entries()) found.name(`applications[${index}]`, each);
  }
  if (region !== "") {
    found.check(isEnrol || role === "region", "region", "is only for roles region and enrol");
    found.name("region", region);
  }
  if (subject !== "") {
    found.check(isEnrol || role === "builder", "subject", "is only for roles builder and enrol");
    found.name("subject", subject);
  }
  found.check(isEnrol || memberRole === undefined, "member_role", "is only for role enrol");
  const member = memberRole ?? byDefault;
  const known = isMemberRole(member);
  found.check(known, "member_role", "must be host, region or builder");
  found.check(isEnrol || maxUses === 0, "max_uses", "is only for role enrol");
  found.check(maxUses <= MAX_USES, "max_uses", `must be at most ${MAX_USES}`);
  found.check(isEnrol || !allowRejoin, "allow_rejoin", "is only for role enrol");
  const expireTime = asked.expireTime ?? null;
  if (expireTime !== null) {
    found.time("expire_time", expireTime);
    found.check(expireTime.getTime() > now, "expire_time", "must be later than now");
    const soon = expireTime.getTime() <= now + MAX_VALID_MS;
    found.check(soon, "expire_time", "must be at most 366 days from now");
  }
  found.throwIfAny();
  return {
    name,
    role: role ?? "viewer",
    applications: [...new Set(applications)],
    region,
    subject,
    memberRole: isEnrol && known ? roleName(member) : null,
    maxUses,
    allowRejoin,
    expireTime,
  };
}
