import { setTimeout as delay } from "node:timers/promises";
import type { Knex } from "knex";
import { Client } from "pg";
import type { Logger } from "pino";
import { connectionConfig, openDatabase } from "./connection.js";

/** One step of a schema. Never changed once released; there is no way back. */
export interface Migration {
  name: string;
  up(knex: Knex): Promise<void>;
}

/** Any number that nothing else uses: whoever holds this lock migrates. */
const LOCK_KEY = 7_216_840_331;
const STEP_TIMEOUT_MS = 3_600_000;
/**
 * How long a step waits for a table that a long transaction uses, a backup's for instance: whoever asks
 * for the table after it waits behind it, and that is every coordinator. It tries again after a pause.
 */
const TABLE_WAIT_MS = 1_000;
const LOCK_NOT_AVAILABLE = "55P03";

/**
 * Brings a database to the newest schema. Several may do so at once: a session's advisory lock lets
 * one at a time, and unlike Knex's lock table it goes away with a process that was killed.
 * @throws Error if within timeoutMs the lock can't be had, or a table that somebody uses.
 */
export async function migrate(
  url: string,
  migrations: readonly Migration[],
  { timeoutMs, log }: { timeoutMs: number; log: Logger },
): Promise<void> {
  const lock = new Client(
    connectionConfig({ url, statementTimeoutMs: 10_000, applicationName: "slipway migrate" }),
  );
  lock.on("error", (error) => log.warn({ err: error }, "the migration lock's connection broke"));
  await lock.connect();
  // A step over a large table may take its time.
  const db = openDatabase({
    url,
    poolSize: 2,
    statementTimeoutMs: STEP_TIMEOUT_MS,
    lockTimeoutMs: TABLE_WAIT_MS,
    applicationName: "slipway migrate",
    log,
  });
  try {
    await acquire(lock, timeoutMs);
    const config: Knex.MigratorConfig = {
      tableName: "slipway_migrations",
      // An older coordinator may start beside a newer one's schema.
      disableMigrationsListValidation: true,
      migrationSource: source(migrations),
    };
    const done = await whenTablesAreFree(timeoutMs, log, async () => {
      await db.migrate.forceFreeMigrationsLock(config);
      const [, steps] = (await db.migrate.latest(config)) as [number, string[]];
      return steps;
    });
    if (done.length > 0) log.info({ migrations: done }, "database migrated");
  } finally {
    await db.destroy();
    await lock.end();
  }
}

async function acquire(lock: Client, timeoutMs: number): Promise<void> {
  const deadline = Date.now() + timeoutMs;
  while (true) {
    const { rows } = await lock.query<{ locked: boolean }>(
      "select pg_try_advisory_lock($1) as locked",
      [LOCK_KEY],
    );
    if (rows[0]?.locked === true) return;
    if (Date.now() > deadline) throw new Error("another process holds the migration lock");
    await delay(100 + Math.random() * 100);
  }
}

/** A step that gave up has changed nothing; those before it are done, and are not done again. */
async function whenTablesAreFree<T>(
  timeoutMs: number,
  log: Logger,
  steps: () => Promise<T>,
): Promise<T> {
  const deadline = Date.now() + timeoutMs;
  while (true) {
    try {
      return await steps();
    } catch (error) {
      if ((error as { code?: unknown }).code !== LOCK_NOT_AVAILABLE) throw error;
      const inUse = "a table that is to be migrated is in use by a long transaction";
      if (Date.now() > deadline) {
        throw new Error(`${inUse}; pg_stat_activity says whose: end it, and start again`, {
          cause: error,
        });
      }
      log.warn({ err: error }, `${inUse}, such as a backup's; trying again`);
      await delay(TABLE_WAIT_MS + Math.random() * TABLE_WAIT_MS);
    }
  }
}

function source(migrations: readonly Migration[]): Knex.MigrationSource<Migration> {
  return {
    getMigrations: () => Promise.resolve([...migrations]),
    getMigrationName: ({ name }) => name,
    getMigration: (migration) =>
      Promise.resolve({
        up: (knex) => migration.up(knex),
        down: () => Promise.reject(new Error("migrations only go forward")),
      }),
  };
}
