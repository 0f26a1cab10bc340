import type { Knex } from "knex";
import type { Logger } from "pino";
import { forgetFinished, giveUpForgotten } from "./delivery-store.js";

const DAY_MS = 24 * 3_600_000;
const KEEP_MS = 14 * DAY_MS;
const MAX_BATCHES = 200;

/** Gives up what nobody sends, and deletes what ended two weeks ago. Answers how many rows. */
export async function sweepNotifications(
  db: Knex,
  log: Logger,
  signal: AbortSignal,
): Promise<number> {
  const givenUp = await giveUpForgotten(db, DAY_MS);
  if (givenUp > 0) {
    log.error({ givenUp }, "notifications given up: no coordinator with a hook secret sent them");
  }
  let deleted = 0;
  for (let batch = 0; batch < MAX_BATCHES && !signal.aborted; batch += 1) {
    const rows = await forgetFinished(db, KEEP_MS);
    deleted += rows;
    if (rows === 0) break;
  }
  const kept = (await db("notifications")
    .where({ state: "GIVEN_UP" })
    .count("* as count")
    .first()) as { count: string } | undefined;
  const count = Number(kept?.count ?? 0);
  if (count > 0) log.warn({ count }, "notifications were given up in the last two weeks");
  return givenUp + deleted;
}
