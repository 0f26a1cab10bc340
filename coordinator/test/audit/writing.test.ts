import { suite } from "uvu";
import * as assert from "uvu/assert";
import { writeAudit, writeAudits } from "../../src/audit/audit-log.js";
import { inTransaction } from "../../src/db/connection.js";
import { uuidv7 } from "../../src/uuid.js";
import { openTestDatabase, type TestDatabase } from "../postgres.js";

const test = suite("writing audit entries");
let database: TestDatabase;
test.before(async () => {
  database = await openTestDatabase();
});
test.after(() => database?.close());

test("an entry is written with what it tells of, or not at all", async () => {
  const { db } = database;
  const deploymentId = uuidv7();
  const entry = { actor: "ada", action: "deployment.pause", message: "x".repeat(10_000) };
  await db.transaction((trx) => writeAudit(trx, { ...entry, deploymentId, application: "shop" }));
  const undone = db.transaction(async (trx) => {
    await writeAudit(trx, entry);
    throw new Error("undone");
  });
  await undone.catch(() => undefined);
  const rows = (await db("audit_entries")) as Record<string, unknown>[];
  assert.equal(
    rows.map(({ actor, area, deployment_id, build_id, reason, message }) => [
      [actor, area, deployment_id, build_id, reason],
      String(message).length,
    ]),
    [[["ada", "deployment", deploymentId, null, ""], 4_000]],
  );
});

test("many entries are one statement", async () => {
  const { db } = database;
  await db("audit_entries").delete();
  const buildId = uuidv7();
  await inTransaction(db, (session) =>
    writeAudits(session, [
      { actor: "ada", action: "build.submit", buildId, application: "shop", message: "first" },
      { actor: "bob", action: "host.decommission", hostId: "h1", reason: "old", message: "second" },
    ]),
  );
  const rows = (await db("audit_entries").orderBy("id")) as Record<string, unknown>[];
  assert.equal(
    rows.map((row) => [row.actor, row.build_id, row.host_id, row.reason, row.message]),
    [
      ["ada", buildId, null, "", "first"],
      ["bob", null, "h1", "old", "second"],
    ],
  );
});

test.run();
