import type { Identity } from "./identity.js";
import type { StoredToken } from "./token-store.js";

/** Who calls with a token. Pure. */
export function toIdentity(token: StoredToken): Identity {
  const { id, name, role, applications, region, subject, memberRole, allowRejoin, expireTime } =
    token;
  const enrolment = memberRole === null ? {} : { enrolment: { memberRole, allowRejoin } };
  const end = expireTime === null ? {} : { expireTime };
  return { tokenId: id, name, role, applications, region, subject, ...end, ...enrolment };
}
