import type { Knex } from "knex";

/** A notification that is to be tried by whoever got it here, before the claim runs out. */
export interface Claimed {
  id: string;
  url: string;
  body: string;
  /** With this one. */
  attempts: number;
  /** Since it was made, in milliseconds. */
  ageMs: number;
}

const NOW = "clock_timestamp()";
const FUTURE = `${NOW} + ? * interval '1 ms'`;
const AGE = `extract(epoch from ${NOW} - create_time) * 1000`;
const BATCH = 1_000;

/**
 * Claims notifications that are due, for so long: nobody else tries them meanwhile, and somebody
 * does afterwards if nothing was said of them.
 */
export async function claimDue(
  db: Knex,
  { limit, claimMs }: { limit: number; claimMs: number },
): Promise<Claimed[]> {
  const rows: { id: string; url: string; body: string; attempts: number; age_ms: string }[] =
    await db("notifications")
      .whereIn("id", (due) => {
        void due
          .from("notifications")
          .select("id")
          .where({ state: "PENDING" })
          .whereRaw(`next_time <= ${NOW}`)
          .orderBy("next_time")
          .limit(limit)
          .forUpdate()
          .skipLocked();
      })
      .update({ attempts: db.raw("attempts + 1"), next_time: db.raw(FUTURE, [claimMs]) })
      .returning(["id", "url", "body", "attempts", db.raw(`${AGE} as age_ms`)]);
  return rows.map(({ age_ms: ageMs, ...row }) => ({ ...row, ageMs: Number(ageMs) }));
}

/** It was taken. */
export async function setDelivered(db: Knex, id: string): Promise<void> {
  await pending(db, id).update({ state: "DELIVERED", failure: "", finish_time: db.raw(NOW) });
}

/** It was not taken, and is tried again after so many milliseconds. */
export async function setFailed(
  db: Knex,
  id: string,
  failure: string,
  retryMs: number,
): Promise<void> {
  await pending(db, id).update({ failure, next_time: db.raw(FUTURE, [retryMs]) });
}

/** It was not taken, and is not tried any more. */
export async function setGivenUp(db: Knex, id: string, failure: string): Promise<void> {
  await pending(db, id).update({ state: "GIVEN_UP", failure, finish_time: db.raw(NOW) });
}

/** Gives up what nobody has tried any more for so long. Answers how many. */
export function giveUpForgotten(db: Knex, maxAgeMs: number): Promise<number> {
  return db("notifications")
    .where({ state: "PENDING" })
    .whereRaw(`next_time < ${NOW} - ? * interval '1 ms'`, [maxAgeMs])
    .update({
      state: "GIVEN_UP",
      failure: db.raw(
        `case when failure = '' then 'no coordinator with a hook secret was there to send it'
              else failure end`,
      ),
      finish_time: db.raw(NOW),
    });
}

/** Deletes a batch of those that ended so long ago. Answers how many. */
export function forgetFinished(db: Knex, maxAgeMs: number): Promise<number> {
  return db("notifications")
    .whereIn("id", (old) => {
      void old
        .from("notifications")
        .select("id")
        .whereNot({ state: "PENDING" })
        .whereRaw(`finish_time < ${NOW} - ? * interval '1 ms'`, [maxAgeMs])
        .limit(BATCH)
        .forUpdate()
        .skipLocked();
    })
    .delete();
}

function pending(db: Knex, id: string): Knex.QueryBuilder {
  return db("notifications").where({ id, state: "PENDING" });
}
