import type { Freeze } from "@slipway/proto";
import type { Knex } from "knex";

interface FreezeRow {
  id: string;
  application: string | null;
  region: string | null;
  actor: string;
  reason: string;
  create_time: Date;
  expire_time: Date;
  end_time: Date | null;
}

/** The freezes in force on an application or any of the regions, the first to expire in front. */
export async function freezesOf(
  db: Knex,
  application: string,
  regions: readonly string[],
): Promise<Freeze[]> {
  const rows = await inForce(db).where((either) => {
    void either.where({ application }).orWhereIn("region", [...regions]);
  });
  return rows.map(fromRow);
}

/** By the database's clock. */
function inForce(db: Knex): Knex.QueryBuilder<FreezeRow, FreezeRow[]> {
  return db<FreezeRow>("freezes")
    .whereNull("end_time")
    .whereRaw("expire_time > clock_timestamp()")
    .orderBy(["expire_time", "id"]);
}

function fromRow(row: FreezeRow): Freeze {
  return {
    id: row.id,
    application: row.application ?? "",
    region: row.region ?? "",
    actor: row.actor,
    reason: row.reason,
    createTime: row.create_time,
    expireTime: row.expire_time,
  };
}
