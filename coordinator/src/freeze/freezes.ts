import type { Freeze } from "@slipway/proto";
import type { Knex } from "knex";
import { writeAudit, type Author } from "../audit/audit-log.js";
import { invalidArgument, notFound, resourceExhausted } from "../errors.js";
import { uuidv7 } from "../uuid.js";

/** Freezes in force at once; deployments read those that concern them at every look. */
const MAX_IN_FORCE = 1_000;

/** Shared by all that begins, held alone by a freeze that is being made. */
const LOCK = "hashtextextended('slipway freezes', 0)";

/** What is to be frozen: one of the two. */
export interface FreezeScope {
  application?: string | undefined;
  region?: string | undefined;
}

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

/**
 * The same for what begins in this transaction: freezes that are being made are waited for, and none is
 * made until the transaction ends. To be called with the transaction's rows locked already.
 */
export async function freezesAtCommit(
  trx: Knex,
  application: string,
  regions: readonly string[],
): Promise<Freeze[]> {
  await trx.raw(`select pg_advisory_xact_lock_shared(${LOCK})`);
  return freezesOf(trx, application, regions);
}

/** All that are in force, the first to expire in front. */
export async function listFreezes(db: Knex): Promise<Freeze[]> {
  const rows = await inForce(db).limit(MAX_IN_FORCE);
  return rows.map(fromRow);
}

/**
 * Freezes an application or a region until a time that is judged by the database's clock.
 * @throws DomainError INVALID_ARGUMENT for a time that has passed or is too far, NOT_FOUND for an
 *   unknown application, RESOURCE_EXHAUSTED.
 */
export function createFreeze(
  db: Knex,
  { application, region }: FreezeScope,
  { expireTime, maxMs }: { expireTime: Date; maxMs: number },
  by: Author,
): Promise<Freeze> {
  return db.transaction(async (trx) => {
    // What has begun is committed then, and what begins from now on sees it.
    await trx.raw(`select pg_advisory_xact_lock(${LOCK})`);
    if (application !== undefined) {
      const known: unknown = await trx("applications").where({ name: application }).first("name");
      if (known === undefined) throw notFound("application", application);
    }
    await checkExpiry(trx, expireTime, maxMs);
    if ((await listFreezes(trx)).length >= MAX_IN_FORCE) {
      const message = `${MAX_IN_FORCE} freezes are in force, and no more can be; end some first`;
      throw resourceExhausted("TOO_MANY_FREEZES", message);
    }
    const [row] = await trx<FreezeRow>("freezes")
      .insert({
        id: uuidv7(),
        application: application ?? null,
        region: region ?? null,
        actor: by.actor,
        reason: by.reason,
        expire_time: expireTime,
      })
      .returning("*");
    if (row === undefined) throw new Error("an insert returned no row");
    const message = `${describe(row)} frozen until ${row.expire_time.toISOString()}`;
    await writeAudit(trx, { ...by, action: "freeze.create", application, region, message });
    return fromRow(row);
  });
}

/** Ends a freeze, unless it has ended. Answers whether it had not. @throws DomainError NOT_FOUND */
export function endFreeze(db: Knex, id: string, by: Author): Promise<boolean> {
  return db.transaction(async (trx) => {
    const [row] = await inForce(trx)
      .where({ id })
      .clearOrder()
      .update({ end_time: trx.raw("clock_timestamp()") })
      .returning("*");
    if (row === undefined) {
      const known: unknown = await trx("freezes").where({ id }).first("id");
      if (known === undefined) throw notFound("freeze", id);
      return false;
    }
    await writeAudit(trx, {
      ...by,
      action: "freeze.end",
      application: row.application ?? undefined,
      region: row.region ?? undefined,
      message: `freeze of ${describe(row)} ended, which was to last until ${row.expire_time.toISOString()}`,
    });
    return true;
  });
}

async function checkExpiry(trx: Knex.Transaction, expireTime: Date, maxMs: number): Promise<void> {
  const clock = (await trx.select(trx.raw("clock_timestamp() as now")).first()) as { now: Date };
  const leftMs = expireTime.getTime() - clock.now.getTime();
  if (leftMs > 0 && leftMs <= maxMs) return;
  const days = maxMs / 86_400_000;
  const description = leftMs > 0 ? `must be at most ${days} days from now` : "must not have passed";
  throw invalidArgument([{ field: "expire_time", description }]);
}

function describe({ application, region }: FreezeRow): string {
  return application === null ? `region ${region}` : `application ${application}`;
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
