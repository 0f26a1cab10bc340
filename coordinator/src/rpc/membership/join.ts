import type { JoinRequest, JoinResponse } from "@slipway/proto";
import type { Context } from "../../context.js";
import { permissionDenied } from "../../errors.js";
import type { Identity } from "../../auth/identity.js";
import { useToken } from "../../auth/token-store.js";
import { readJoinClaim, type CheckedClaim } from "../../membership/claims.js";
import type { CallInfo } from "../handler.js";
import { joinMember, type JoinTerms } from "../../membership/join.js";
import { describeMember, roleOf } from "../../membership/roles.js";
import { issuerOf } from "./issuer.js";

export async function join(
  context: Context,
  request: JoinRequest,
  { identity }: Pick<CallInfo, "identity">,
): Promise<JoinResponse> {
  const { db, log, clock } = context;
  const issuer = issuerOf(context);
  const claim = readJoinClaim(request);
  checkEnrolment(identity, claim);
  issuer.check(claim);
  const validity = issuer.validity(clock.now());
  // Before anything is written: where nothing can be signed, nobody has joined.
  const grant = await issuer.grant(claim, validity);
  const changed = await joinMember(db, claim, validity, termsOf(identity));
  if (changed) log.info({ id: claim.id }, `${describeMember(claim)} joined`);
  return { grant };
}

/** What the token lets its holder be. */
function checkEnrolment({ name, enrolment, region, subject }: Identity, claim: CheckedClaim): void {
  if (enrolment === undefined) return;
  const allowed =
    roleOf(enrolment.memberRole) === claim.role &&
    (region === "" || region === claim.region) &&
    (subject === "" || subject === claim.id);
  if (allowed) return;
  const who = subject === "" ? "" : ` ${subject}`;
  const where = region === "" ? "" : ` of region ${region}`;
  const what = `${enrolment.memberRole.toLowerCase()}${who}${where}`;
  throw permissionDenied(
    "OUT_OF_SCOPE",
    `token ${name} lets a ${what} join, not ${describeMember(claim)}`,
  );
}

function termsOf({ name, tokenId, enrolment }: Identity): JoinTerms {
  const terms = { actor: name, allowRejoin: enrolment?.allowRejoin ?? false };
  if (tokenId === "") return { ...terms, tokenId: undefined };
  return { ...terms, tokenId, use: (trx) => useToken(trx, tokenId) };
}
