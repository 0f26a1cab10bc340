import type { JoinRequest, JoinResponse } from "@slipway/proto";
import type { Context } from "../../context.js";
import { readJoinClaim } from "../../membership/claims.js";
import { joinMember, type JoinTerms } from "../../membership/join.js";
import { describeMember } from "../../membership/roles.js";
import { issuerOf } from "./issuer.js";

// Until calls have identities: whoever can call can join.
const ANYBODY: JoinTerms = { actor: "", tokenId: undefined, allowRejoin: false };

export async function join(context: Context, request: JoinRequest): Promise<JoinResponse> {
  const { db, log, clock } = context;
  const issuer = issuerOf(context);
  const claim = readJoinClaim(request);
  const validity = issuer.validity(clock.now());
  const changed = await joinMember(db, claim, validity, ANYBODY);
  if (changed) log.info({ id: claim.id }, `${describeMember(claim)} joined`);
  return { grant: await issuer.grant(claim, validity) };
}
