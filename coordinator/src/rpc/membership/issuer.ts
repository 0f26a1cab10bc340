import type { Context } from "../../context.js";
import { failedPrecondition } from "../../errors.js";
import type { MemberIssuer } from "../../membership/issuer.js";

/** @throws DomainError FAILED_PRECONDITION if this coordinator signs no memberships. */
export function issuerOf({ memberIssuer }: Pick<Context, "memberIssuer">): MemberIssuer {
  if (memberIssuer !== undefined) return memberIssuer;
  throw failedPrecondition(
    "NO_MEMBERSHIP_KEY",
    "this coordinator signs no memberships: start it with --membership-key or --membership-signer-command",
  );
}
