import type { Knex } from "knex";
import { aborted, failedPrecondition } from "../errors.js";
import type { Validity } from "./issuer.js";
import { isDecommissioned, memberRows, type MemberRow } from "./member-store.js";
import { revokedForGood } from "./join.js";

/** After its certificate's end a member may still renew for so long. */
const GRACE_MS = 30 * 24 * 3_600_000;

/**
 * Lets a member that has proved its key go on until the new end.
 * @param claimTime - That the proof names; each one later than the one before.
 * @throws DomainError PERMISSION_DENIED, FAILED_PRECONDITION, ABORTED
 */
export async function renewMember(
  db: Knex,
  row: MemberRow,
  claimTime: Date,
  { issueTime, expireTime }: Validity,
): Promise<void> {
  const { id, public_key: publicKey, expire_time: expired } = row;
  if (row.revoke_time !== null || (await isDecommissioned(db, id))) throw revokedForGood(id);
  if (expired !== null && issueTime.getTime() > expired.getTime() + GRACE_MS) {
    throw failedPrecondition(
      "MEMBER_EXPIRED",
      `the certificate of ${id} ended ${expired.toISOString()}, over 30 days ago: join again`,
    );
  }
  const renewed = await memberRows(db)
    .where({ id, public_key: publicKey })
    .whereNull("revoke_time")
    .whereRaw("(claim_time is null or claim_time < ?)", [claimTime])
    .update({ renew_time: issueTime, expire_time: expireTime, claim_time: claimTime });
  if (renewed === 0) {
    throw aborted(
      "RENEWED_MEANWHILE",
      `${id} has changed meanwhile, or renewed with a later time: ask for the time again`,
    );
  }
}
