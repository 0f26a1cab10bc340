import { type Member, Role } from "@slipway/proto";
import type { Knex } from "knex";
import type { RevokedMember } from "../nats-access/plan-revoked-users.js";
import { roleName, roleOf, type MemberRole, type RoleName } from "./roles.js";

/** As it is in the database. */
export interface MemberRow {
  id: string;
  role: RoleName | null;
  region: string;
  public_key: Buffer | null;
  nats_public_key: string;
  token_id: string | null;
  join_time: Date | null;
  renew_time: Date | null;
  expire_time: Date | null;
  claim_time: Date | null;
  revoke_time: Date | null;
  release_time: Date | null;
}

export const memberRows = (db: Knex): Knex.QueryBuilder<MemberRow, MemberRow[]> =>
  db<MemberRow>("members");

export function findMember(db: Knex, id: string): Promise<MemberRow | undefined> {
  return memberRows(db).where({ id }).first();
}

/** A page of members by id, behind one of them. */
export async function listMembers(
  db: Knex,
  filter: { region?: string; role?: MemberRole; after?: string; limit: number },
): Promise<Member[]> {
  const query = memberRows(db).orderBy("id").limit(filter.limit);
  const { region, role, after } = filter;
  if (region !== undefined) void query.where({ region });
  if (role !== undefined) void query.where({ role: roleName(role) });
  if (after !== undefined) void query.where("id", ">", after);
  return (await query).map(toMember);
}

/** Whether its host was decommissioned, maybe by a coordinator that knows of no members. */
export async function isDecommissioned(db: Knex, id: string): Promise<boolean> {
  const found: unknown = await db("hosts")
    .where({ host_id: id })
    .whereNotNull("decommission_time")
    .first("host_id");
  return found !== undefined;
}

/**
 * Ids whose certificates hold no more: of hosts that were decommissioned, and of members that were
 * revoked. The last one in front; at most so many.
 */
export async function revokedIds(db: Knex, limit: number): Promise<string[]> {
  const { rows }: { rows: { id: string }[] } = await db.raw(
    `select id from (
       select host_id as id, decommission_time as time from hosts
         where decommission_time is not null
       union all
       select id, revoke_time from members where revoke_time is not null
     ) revoked
     group by id order by max(time) desc, id limit ?`,
    [limit],
  );
  return rows.map(({ id }) => id);
}

/** Members that were revoked and had NATS users, the last one in front; at most so many. */
export async function revokedNatsMembers(db: Knex, limit: number): Promise<RevokedMember[]> {
  const rows = await memberRows(db)
    .whereNotNull("revoke_time")
    .whereNotNull("expire_time")
    .whereNot({ nats_public_key: "" })
    .orderBy("revoke_time", "desc")
    .limit(limit);
  return rows.flatMap(
    ({ role, region, nats_public_key: natsPublicKey, expire_time: expireTime }) =>
      role === null || expireTime === null ? [] : [{ role, region, natsPublicKey, expireTime }],
  );
}

function toMember(row: MemberRow): Member {
  return {
    id: row.id,
    role: row.role === null ? Role.UNSPECIFIED : roleOf(row.role),
    region: row.region,
    publicKey: row.public_key ?? Buffer.alloc(0),
    natsPublicKey: row.nats_public_key,
    joinTime: row.join_time ?? undefined,
    renewTime: row.renew_time ?? undefined,
    expireTime: row.expire_time ?? undefined,
    revokeTime: row.revoke_time ?? undefined,
    releaseTime: row.release_time ?? undefined,
  };
}
