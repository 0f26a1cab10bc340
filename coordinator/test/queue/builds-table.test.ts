import { suite } from "uvu";
import * as assert from "uvu/assert";
import { RevisionSpecs } from "../../src/queue/revision-specs.js";
import { addApplication, openTestDatabase, type TestDatabase } from "../postgres.js";

const test = suite("the builds table");
let database: TestDatabase;
test.before(async () => {
  database = await openTestDatabase();
});
test.after(() => database?.close());

test("no index knows of what a lease or a heartbeat changes", async () => {
  const { rows }: { rows: { indexdef: string }[] } = await database.db.raw(
    "select indexdef from pg_indexes where tablename = 'builds'",
  );
  assert.ok(rows.length > 3);
  const changed = /\b(status|attempt|builder_id|lease_until|start_time|revision)\b/;
  assert.equal(
    rows.filter(({ indexdef }) => changed.test(indexdef)).map(({ indexdef }) => indexdef),
    [],
  );
});

test("specs are read once a revision, in the order that they are asked for", async () => {
  const { db } = database;
  await addApplication(db, "one", 3);
  await addApplication(db, "two", 3);
  const specs = new RevisionSpecs(db);
  const [one, two] = [
    { application: "one", revision: 1 },
    { application: "two", revision: 1 },
  ];
  const [first, second, third] = await specs.of([one, two, one]);
  assert.is(first, third);
  assert.is.not(first, second);
  assert.equal(await specs.of([two, one]), [second, first]);
  assert.is((await specs.of([one]))[0], first);
  const none = { application: "none", revision: 1 };
  const refused = await specs.of([none]).catch((error: unknown) => error);
  assert.match(String(refused), /no revision none@1/);
});

test.run();
