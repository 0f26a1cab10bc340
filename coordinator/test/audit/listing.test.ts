import { suite } from "uvu";
import * as assert from "uvu/assert";
import { listAudit, type AuditFilter } from "../../src/audit/list.js";
import { forgetOld } from "../../src/audit/retention.js";
import { Sweeper } from "../../src/sweeper.js";
import { uuidv7 } from "../../src/uuid.js";
import { addApplication, openTestDatabase, silent, type TestDatabase } from "../postgres.js";

const test = suite("listing audit entries");
let database: TestDatabase;
const deploymentId = uuidv7();
const at = (minute: number): Date => new Date(Date.UTC(2024, 0, 1, 0, minute));

/** Entries so many minutes after a time, in the order of the minutes. */
const ENTRIES: [minute: number, actor: string, action: string, application: string | null][] = [
  [1, "ada", "application.apply", "shop"],
  [2, "bob", "deployment.create", "shop"],
  [3, "bob", "deployment.pause", "shop"],
  [3, "slipway", "deployment.resume", "shop"],
  [4, "ada", "deployment.create", "bank"],
  [5, "ada", "host.decommission", null],
];

test.before(async () => {
  database = await openTestDatabase();
  await database.db("audit_entries").insert(
    ENTRIES.map(([minute, actor, action, application]) => ({
      id: uuidv7(),
      time: at(minute),
      actor,
      action,
      application,
      deployment_id:
        action.startsWith("deployment") && application === "shop" ? deploymentId : null,
      reason: "",
      message: action,
    })),
  );
});
test.after(() => database?.close());

const actions = async (filter: AuditFilter, limit = 100): Promise<string[]> => {
  const entries = await listAudit(database.db, filter, limit);
  return entries.map(({ actor, action }) => `${actor} ${action}`);
};

test("newest first, by any of the filters", async () => {
  const newestFirst = ENTRIES.map(([, actor, action]) => `${actor} ${action}`).toReversed();
  assert.equal(await actions({}), newestFirst);
  assert.equal(await actions({ application: "bank" }), ["ada deployment.create"]);
  assert.equal((await actions({ deploymentId })).length, 3);
  assert.equal(await actions({ actor: "slipway" }), ["slipway deployment.resume"]);
  assert.equal(await actions({ action: "deployment.create", actor: "bob" }), [
    "bob deployment.create",
  ]);
  assert.equal((await actions({ action: "deployment" })).length, 4);
  assert.equal(await actions({ action: "deploy" }), []);
  assert.equal((await actions({ after: at(3), before: at(5) })).length, 3);
});

test("page by page, also where times are the same", async () => {
  const seen: string[] = [];
  let position: AuditFilter["position"];
  for (let page = 0; page < 10; page += 1) {
    const [entry] = await listAudit(database.db, { position }, 1);
    if (entry?.time === undefined) break;
    seen.push(`${entry.actor} ${entry.action}`);
    position = { time: entry.time, id: entry.id };
  }
  assert.equal(seen, await actions({}));
});

test("listing reads an index, whatever it is filtered by", async () => {
  const { db } = database;
  await db.raw(`
    insert into audit_entries (id, time, actor, action, reason, application, deployment_id, message)
    select gen_random_uuid(), timestamptz '2024-01-01' + n * interval '1 s', 'a' || n % 100,
      'area' || n % 7 || '.' || n % 31, '', 'app' || n % 200, gen_random_uuid(), ''
    from generate_series(1, 30000) n`);
  await db.raw("analyze audit_entries");
  const filters = [
    "true",
    "actor = 'a7'",
    "action = 'area1.1'",
    "area = 'area1'",
    "application = 'app7'",
    `deployment_id = '${deploymentId}'`,
  ];
  for (const filter of filters) {
    const explained: { rows: { "QUERY PLAN": string }[] } = await db.raw(
      `explain select * from audit_entries where ${filter} and time < '2024-01-02'
       order by time desc, id desc limit 100`,
    );
    const plan = explained.rows.map((row) => row["QUERY PLAN"]).join("\n");
    assert.match(plan, /Index Scan/, filter);
    assert.not.match(plan, /Seq Scan/, filter);
  }
  await db("audit_entries").whereLike("actor", "a%").whereNot("actor", "ada").delete();
});

test("what is too old is deleted, and what is not is kept", async () => {
  const { db } = database;
  const { signal } = new AbortController();
  await addApplication(db, "shop");
  const freeze = { application: "shop", actor: "", reason: "" };
  await db("freezes").insert([
    { ...freeze, id: uuidv7(), expire_time: at(1) },
    { ...freeze, id: uuidv7(), expire_time: new Date(Date.now() + 60_000) },
  ]);
  const age = Date.now() - at(3).getTime() - 30_000;
  assert.is(await forgetOld(db, age, signal), 5);
  assert.equal(await actions({ before: at(60) }), [
    "ada host.decommission",
    "ada deployment.create",
  ]);
  assert.equal((await db("freezes")).length, 1);
  assert.is(await forgetOld(db, age, signal), 0);
});

test("a sweep that fails keeps no other from being done", async () => {
  let swept = 0;
  const sweeper = new Sweeper({
    sweeps: [
      { what: "failing", run: () => Promise.reject(new Error("no")) },
      { what: "counting", run: () => Promise.resolve((swept += 1)) },
    ],
    intervalMs: 60_000,
    log: silent,
  });
  await sweeper.runOnce();
  assert.is(swept, 1);
  await sweeper.stop();
  await sweeper.runOnce();
  assert.is(swept, 1);
});

test.run();
