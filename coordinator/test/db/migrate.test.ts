import { suite } from "uvu";
import * as assert from "uvu/assert";
import { startPostgres, type PostgresServer } from "@slipway/examples/servers";
import { inTransaction, runStatement } from "../../src/db/connection.js";
import { migrate, type Migration } from "../../src/db/migrate.js";
import { migrations } from "../../src/db/migrations/index.js";
import { openPool, silent } from "../postgres.js";

const test = suite("database");
let server: PostgresServer;
test.before(async () => {
  server = await startPostgres();
});
test.after(() => server.stop());

const options = { timeoutMs: 20_000, log: silent };

test("several may migrate at once, and again", async () => {
  const url = await server.createDatabase("crowd");
  await Promise.all([1, 2, 3].map(() => migrate(url, migrations, options)));
  const db = openPool(url);
  await migrate(url, migrations, options);
  const rows = (await db("slipway_migrations").select("name").orderBy("id")) as { name: string }[];
  assert.equal(
    rows.map(({ name }) => name),
    migrations.map(({ name }) => name),
  );
  await db.destroy();
});

test("a lock that a killed process left in Knex's table does no harm", async () => {
  const url = await server.createDatabase("stuck");
  const db = openPool(url);
  const [first, ...rest] = migrations;
  if (first === undefined) throw new Error("no migrations");
  await migrate(url, [first], options);
  await db("slipway_migrations_lock").update({ is_locked: 1 });
  await migrate(url, [first, ...rest], options);
  await db.destroy();
});

test("migrations that fail leave nothing behind, and a newer schema is no obstacle", async () => {
  const url = await server.createDatabase("broken");
  const db = openPool(url);
  const good: Migration = {
    name: "1_good",
    up: async (knex) => {
      await knex.raw("create table good (id int)");
    },
  };
  const bad: Migration = {
    name: "2_bad",
    up: async (knex) => {
      await knex.raw("create table half (id int)");
      await knex.raw("create table half (id int)");
    },
  };
  const failed = await migrate(url, [good, bad], options).then(
    () => false,
    () => true,
  );
  assert.ok(failed);
  assert.equal(
    [await db.schema.hasTable("good"), await db.schema.hasTable("half")],
    [false, false],
  );
  await migrate(url, [good], options);
  await migrate(url, [], options);
  assert.ok(await db.schema.hasTable("good"));
  await db.destroy();
});

test("a step waits for a table that a backup reads, and lets everybody else at it meanwhile", async () => {
  const url = await server.createDatabase("busy");
  const db = openPool(url);
  const make: Migration = {
    name: "1_make",
    up: async (knex) => {
      await knex.raw("create table used (id int)");
    },
  };
  const alter: Migration = {
    name: "2_alter",
    up: async (knex) => {
      await knex.raw("alter table used add column more int");
    },
  };
  await migrate(url, [make], options);
  const backup = await db.transaction();
  await backup.raw("select * from used");
  const tooLong = await migrate(url, [make, alter], { ...options, timeoutMs: 0 }).then(
    () => "",
    ({ message }: Error) => message,
  );
  assert.match(tooLong, /in use by a long transaction; pg_stat_activity says whose/);
  const log = silent.child({});
  const waited = new Promise<string>((resolve) => {
    log.warn = (_: unknown, message?: string) => resolve(message ?? "");
  });
  const migrated = migrate(url, [make, alter], { ...options, log });
  assert.match(await waited, /trying again/);
  // Between two tries, and behind the second one at most for a while.
  await db.raw("set statement_timeout = 5000; select * from used");
  await backup.rollback();
  await migrated;
  await db.raw("select more from used");
  await db.destroy();
});

test("a transaction is all or nothing, and its connection is good afterwards", async () => {
  const url = await server.createDatabase("trx");
  const db = openPool(url);
  await db.raw("create table t (id int primary key)");
  const insert = { name: "t_insert", text: "insert into t values ($1)" };
  const failed = await inTransaction(db, async (session) => {
    await session.run(insert, [1]);
    await session.run(insert, [1]);
  }).then(
    () => "done",
    (error: unknown) => (error as { code: string }).code,
  );
  assert.is(failed, "23505");
  await inTransaction(db, (session) => session.run(insert, [2]));
  const rows = await runStatement<{ id: number }>(
    db,
    { name: "t_all", text: "select * from t" },
    [],
  );
  assert.equal(rows, [{ id: 2 }]);
  await db.destroy();
});

test.run();
