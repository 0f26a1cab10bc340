import type { Knex } from "knex";
import { writeAudit, type Author } from "../audit/audit-log.js";
import { failedPrecondition, notFound } from "../errors.js";
import { decommissionInFleet } from "../status/enrolment.js";
import { isDecommissioned, memberRows, type MemberRow } from "./member-store.js";
import { describeMember, roleOf } from "./roles.js";

/**
 * Takes a member out of the fleet for good; a host is decommissioned as well. Answers whether it was
 * in it: the same again changes nothing.
 * @param allowMissing - Also an id that never joined nor enrolled.
 * @throws DomainError NOT_FOUND
 */
export function revokeMember(
  db: Knex,
  id: string,
  by: Author,
  { allowMissing }: { allowMissing: boolean },
): Promise<boolean> {
  return db.transaction(async (trx) => {
    const host = await decommissionInFleet(trx, id);
    const revoked = await revokeRow(trx, id);
    if (revoked === undefined && host === undefined) {
      const known = await memberRows(trx).where({ id }).first("id");
      if (known !== undefined || (await isDecommissioned(trx, id))) return false;
      if (!allowMissing) throw notFound("member", id);
      await memberRows(trx)
        .insert({ id, revoke_time: trx.raw("clock_timestamp()") })
        .onConflict("id")
        .ignore();
    }
    await writeAudit(trx, {
      ...by,
      action: "member.revoke",
      region: revoked?.region || host?.region || undefined,
      hostId: id,
      message: `${nameOf(id, revoked, host)} taken out of the fleet for good, its certificate revoked`,
    });
    return true;
  });
}

/** In the transaction that decommissions its host; undefined if there is nothing to revoke. */
export async function revokeRow(trx: Knex.Transaction, id: string): Promise<MemberRow | undefined> {
  const [row] = await memberRows(trx)
    .where({ id })
    .whereNull("revoke_time")
    .update({ revoke_time: trx.raw("clock_timestamp()") })
    .returning("*");
  return row;
}

/**
 * Lets another key join under a member's id. Answers whether that was not so before.
 * @throws DomainError NOT_FOUND, FAILED_PRECONDITION
 */
export function releaseMember(db: Knex, id: string, by: Author): Promise<boolean> {
  return db.transaction(async (trx) => {
    const row = await memberRows(trx).where({ id }).forUpdate().first();
    if (row === undefined) throw notFound("member", id);
    if (row.revoke_time !== null) {
      const message = `${id} was revoked, which is for good: join under another id`;
      throw failedPrecondition("MEMBER_REVOKED", message);
    }
    if (row.release_time !== null) return false;
    await memberRows(trx)
      .where({ id })
      .update({ release_time: trx.raw("clock_timestamp()") });
    await writeAudit(trx, {
      ...by,
      action: "member.release",
      region: row.region === "" ? undefined : row.region,
      hostId: id,
      message: `${nameOf(id, row, undefined)} released: another key may join under its id`,
    });
    return true;
  });
}

function nameOf(
  id: string,
  row: MemberRow | undefined,
  host: { region: string } | undefined,
): string {
  if (row?.role != null) return describeMember({ id, role: roleOf(row.role), region: row.region });
  return host === undefined ? `the unknown id ${id}` : `host ${id} of region ${host.region}`;
}
