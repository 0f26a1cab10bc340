import { ApplicationSpec, Release } from "@slipway/proto";
import type { Knex } from "knex";
import { suite } from "uvu";
import * as assert from "uvu/assert";
import { uuidv7 } from "../../src/uuid.js";
import { goodSpec, openTestDatabase, sha, type TestDatabase } from "../postgres.js";

// While coordinators are replaced, those of the version before run on the schema that the newer ones
// have migrated. These are their statements, as they were, with the columns that they know.
const test = suite("an older coordinator on the newest schema");
let database: TestDatabase;
let db: Knex;
test.before(async () => {
  database = await openTestDatabase();
  ({ db } = database);
});
test.after(() => database?.close());

const buildId = uuidv7();
const release = Buffer.from(Release.encode(Release.fromPartial({ buildId })).finish());

test("applies an application", async () => {
  await db("applications")
    .insert({ name: "shop", revision: 1 })
    .onConflict("name")
    .ignore()
    .returning("name");
  const [row] = (await db("application_revisions")
    .insert({
      application: "shop",
      revision: 1,
      spec: Buffer.from(ApplicationSpec.encode(goodSpec()).finish()),
      regions: ["eu", "us"],
      max_attempts: 3,
      run_limit_ms: 60_000,
    })
    .returning("*")) as { revision: number }[];
  assert.is(row?.revision, 1);
  await db("applications").where({ name: "shop" }).update({ update_time: db.fn.now() });
});

test("queues, leases and completes a build", async () => {
  const { rows: created }: { rows: { id: string }[] } = await db.raw(
    `insert into builds (id, application, application_revision, commit_sha, status, max_attempts,
       run_limit_ms)
     select n.id, n.application, n.revision, n.sha, 'QUEUED', r.max_attempts, r.run_limit_ms
     from unnest(?::uuid[], ?::text[], ?::integer[], ?::text[])
       with ordinality n(id, application, revision, sha, number)
     join application_revisions r on r.application = n.application and r.revision = n.revision
     order by n.number
     on conflict (application, application_revision, commit_sha)
       where finish_time is null do nothing
     returning id`,
    [[buildId], ["shop"], [1], [sha(1)]],
  );
  assert.equal(created, [{ id: buildId }]);
  await db.raw(
    `insert into build_submissions (id, build_id, idempotency_key, submitter)
     select * from unnest(?::uuid[], ?::uuid[], array[null]::text[], ?::text[])`,
    [[uuidv7()], [buildId], ["ann"]],
  );
  const leased = await db("builds")
    .where({ id: buildId, status: "QUEUED" })
    .update({
      status: "RUNNING",
      attempt: 1,
      builder_id: "b1",
      lease_until: db.raw("clock_timestamp() + interval '15 s'"),
      start_time: db.fn.now(),
      revision: db.raw("revision + 1"),
    });
  const completed = await db("builds")
    .where({ id: buildId, status: "RUNNING" })
    .update({
      status: "SUCCEEDED",
      lease_until: null,
      artifact_digest: `sha256:${"a".repeat(64)}`,
      artifact_size_bytes: 1_000,
      artifact_chunk_count: 1,
      artifact_platform: "linux/x64",
      finish_time: db.fn.now(),
      revision: db.raw("revision + 1"),
    });
  assert.equal([leased, completed], [1, 1]);
});

test("deploys it, and lets the deployment end in every way that it knows", async () => {
  const insert = async (generation: number, started: boolean): Promise<string> => {
    const [row] = (await db("deployments")
      .insert({
        id: uuidv7(),
        application: "shop",
        application_revision: 1,
        build_id: buildId,
        generation,
        state: started ? "RUNNING" : "PENDING",
        is_rollback: false,
        regions: ["eu", "us"],
        selector: JSON.stringify({}),
        run_release: release,
        previous_release: undefined,
        previous_build_id: undefined,
        creator: "ann",
        reason: "",
        idempotency_key: null,
        request: "{}",
        start_time: started ? db.raw("clock_timestamp()") : null,
        deadline: db.raw("clock_timestamp() + interval '10 min'"),
      })
      .returning("*")) as { id: string }[];
    if (row === undefined) throw new Error("nothing was inserted");
    return row.id;
  };
  const move = async (id: string, change: object): Promise<void> => {
    const changed = await db("deployments")
      .where({ id })
      .whereIn("state", ["PENDING", "RUNNING"])
      .update({ revision: db.raw("revision + 1"), ...change });
    assert.is(changed, 1);
  };
  const finished = { finish_time: db.raw("clock_timestamp()") };
  const first = await insert(1, false);
  await move(first, { state: "RUNNING", start_time: db.raw("clock_timestamp()") });
  await move(first, { state: "SUCCEEDED", ...finished });
  const second = await insert(2, true);
  const why = { failure_reason: "HOSTS_FAILED", failure_message: "h1: exit 1" };
  await move(second, { state: "FAILED", ...why, ...finished });
  const third = await insert(3, true);
  await move(third, { state: "SUPERSEDED", superseded_by: uuidv7(), ...finished });
  await insert(4, true);
  const twice = await insert(5, true).then(
    () => "both",
    (error: unknown) => (error as { code: string }).code,
  );
  assert.is(twice, "23505");
});

test("enrols hosts, and does not bring back one that was decommissioned", async () => {
  const enrol = (label: string) =>
    db("hosts")
      .insert([
        { host_id: "h1", region: "eu", cell: "c1", labels: JSON.stringify({ label }) },
        { host_id: "h2", region: "eu", cell: "c1", labels: JSON.stringify({ label }) },
      ])
      .onConflict("host_id")
      .merge({
        region: db.raw("excluded.region"),
        cell: db.raw("excluded.cell"),
        labels: db.raw("excluded.labels"),
        update_time: db.raw("clock_timestamp()"),
      })
      .whereRaw(
        "(hosts.region, hosts.cell, hosts.labels) is distinct from " +
          "(excluded.region, excluded.cell, excluded.labels)",
      );
  await enrol("a");
  await db("hosts").where({ host_id: "h2" }).update({ decommission_time: db.fn.now() });
  await enrol("b");
  const rows = (await db("hosts").orderBy("host_id")) as { decommission_time: Date | null }[];
  assert.equal(
    rows.map((row) => row.decommission_time !== null),
    [false, true],
  );
});

test.run();
