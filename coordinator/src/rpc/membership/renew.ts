import type { RenewRequest, RenewResponse } from "@slipway/proto";
import type { Context } from "../../context.js";
import {
  checkClaimTime,
  isSignedRenewal,
  notThatMember,
  readRenewClaim,
} from "../../membership/claims.js";
import { findMember } from "../../membership/member-store.js";
import { renewMember } from "../../membership/renew.js";
import { roleOf } from "../../membership/roles.js";
import { issuerOf } from "./issuer.js";

export async function renew(context: Context, request: RenewRequest): Promise<RenewResponse> {
  const { db, log, clock } = context;
  const issuer = issuerOf(context);
  const { id, time } = readRenewClaim(request);
  const now = clock.now();
  const row = await findMember(db, id);
  if (row?.role == null || row.public_key === null) throw notThatMember();
  if (!isSignedRenewal(request, row.public_key)) throw notThatMember();
  checkClaimTime(time, now);
  const validity = issuer.validity(now);
  const { region, public_key: publicKey, nats_public_key: natsPublicKey } = row;
  const member = { id, role: roleOf(row.role), region, publicKey, natsPublicKey };
  const grant = await issuer.grant(member, validity);
  await renewMember(db, row, time, validity);
  log.debug({ id, expireTime: validity.expireTime }, "membership renewed");
  return { grant };
}
