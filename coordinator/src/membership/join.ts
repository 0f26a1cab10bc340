import { status } from "@grpc/grpc-js";
import type { Knex } from "knex";
import { writeAudit } from "../audit/audit-log.js";
import { alreadyExists, DomainError } from "../errors.js";
import type { CheckedClaim } from "./claims.js";
import type { Validity } from "./issuer.js";
import { isDecommissioned, memberRows, type MemberRow } from "./member-store.js";
import { describeMember, roleName } from "./roles.js";

/** What lets an agent in. */
export interface JoinTerms {
  /** Whose token it is, for the audit; empty where nobody has one. */
  actor: string;
  tokenId: string | undefined;
  /** Another key may take the place of a member's. */
  allowRejoin: boolean;
  /** Counts one use of the token, in the transaction. @throws DomainError if it has none left. */
  use?: ((trx: Knex.Transaction) => Promise<void>) | undefined;
}

/**
 * Makes the holder of a key a member, or lets one that is go on until the new end. Answers whether
 * something changed but that end.
 * @throws DomainError ALREADY_EXISTS, PERMISSION_DENIED
 */
export function joinMember(
  db: Knex,
  claim: CheckedClaim,
  { issueTime, expireTime }: Validity,
  terms: JoinTerms,
): Promise<boolean> {
  const { id, role, region, publicKey, natsPublicKey } = claim;
  return db.transaction(async (trx) => {
    // Two at once with one id: the second waits here for what the first does.
    await trx.raw("select pg_advisory_xact_lock(hashtextextended('slipway member ' || ?, 0))", [
      id,
    ]);
    const row = await memberRows(trx).where({ id }).forUpdate().first();
    if ((row?.revoke_time ?? null) !== null || (await isDecommissioned(trx, id))) {
      throw revokedForGood(id);
    }
    const renewed = { renew_time: issueTime, expire_time: expireTime };
    if (row !== undefined && isSame(row, claim)) {
      // An answer that was lost is asked for again: that is no other use of the token.
      await memberRows(trx).where({ id }).update(renewed);
      return false;
    }
    if (row !== undefined && row.release_time === null && !terms.allowRejoin) throw idTaken(id);
    const other = await memberRows(trx).where({ public_key: publicKey }).whereNot({ id }).first();
    if (other !== undefined) {
      throw alreadyExists("KEY_TAKEN", `the key is that of another member, ${other.id}`);
    }
    await terms.use?.(trx);
    const joined = {
      id,
      role: roleName(role),
      region,
      public_key: publicKey,
      nats_public_key: natsPublicKey,
      token_id: terms.tokenId ?? null,
      join_time: issueTime,
      claim_time: null,
      release_time: null,
      ...renewed,
    };
    await memberRows(trx).insert(joined).onConflict("id").merge();
    await writeAudit(trx, {
      actor: terms.actor,
      tokenId: terms.tokenId,
      action: row === undefined ? "member.join" : "member.rejoin",
      region: region === "" ? undefined : region,
      hostId: id,
      message:
        `${describeMember(claim)} joined` +
        (row === undefined ? "" : ` with another key, in place of one that joined before`),
    });
    return true;
  });
}

/** @throws nothing: it is the error. */
export function revokedForGood(id: string): DomainError {
  const message = `${id} was taken out of the fleet for good: join under another id`;
  return new DomainError(status.PERMISSION_DENIED, message, { reason: "MEMBER_REVOKED" });
}

function idTaken(id: string): DomainError {
  return alreadyExists(
    "MEMBER_EXISTS",
    `${id} is a member with another key: release it first (slipway members release ${id}), or join ` +
      "with a token that allows it",
  );
}

function isSame(row: MemberRow, claim: CheckedClaim): boolean {
  return (
    row.public_key?.equals(claim.publicKey) === true &&
    row.nats_public_key === claim.natsPublicKey &&
    row.role === roleName(claim.role) &&
    row.region === claim.region
  );
}
