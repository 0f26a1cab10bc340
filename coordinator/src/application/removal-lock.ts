import type { Knex } from "knex";

/**
 * The key of the lock that orders an application's removal and what is begun for it: SQL, given that
 * of the name. Who begins something takes it shared, before it reads whether the application was
 * removed, and holds it until commit.
 */
export function removalLock(name: string): string {
  return `hashtextextended('slipway removal ' || ${name}, 0)`;
}

/** Waits for what is being begun, and has what begins later wait for the transaction's end. */
export async function lockForRemoval(trx: Knex.Transaction, name: string): Promise<void> {
  await trx.raw(`select pg_advisory_xact_lock(${removalLock("?")})`, [name]);
}
