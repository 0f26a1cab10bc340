import type { Knex } from "knex";

/** Rows a statement: short enough for the statement's time, and for those who write meanwhile. */
const BATCH = 5_000;
const MAX_BATCHES = 200;

/** Deletes entries, and freezes that ended, older than so many milliseconds. Answers how many. */
export async function forgetOld(db: Knex, maxAgeMs: number, signal: AbortSignal): Promise<number> {
  let deleted = 0;
  for (const [table, time] of [
    ["audit_entries", "time"],
    ["freezes", "expire_time"],
  ] as const) {
    for (let batch = 0; batch < MAX_BATCHES && !signal.aborted; batch += 1) {
      const rows = await db(table)
        .whereIn("id", (old) => {
          void old
            .from(table)
            .select("id")
            .whereRaw("?? < clock_timestamp() - ? * interval '1 ms'", [time, maxAgeMs])
            .orderBy(time)
            .limit(BATCH)
            // Another coordinator may be at it.
            .forUpdate()
            .skipLocked();
        })
        .delete();
      deleted += rows;
      if (rows < BATCH) break;
    }
  }
  return deleted;
}
