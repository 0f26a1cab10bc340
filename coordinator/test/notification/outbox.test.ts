import { Deployment, DeploymentState, durationFromMs } from "@slipway/proto";
import { suite } from "uvu";
import * as assert from "uvu/assert";
import { checkSpec } from "../../src/application/spec.js";
import { applyApplication } from "../../src/application/store.js";
import { defaultStrategy } from "../../src/application/strategy.js";
import { enqueueNotification } from "../../src/notification/outbox.js";
import { uuidv7 } from "../../src/uuid.js";
import { Violations } from "../../src/validate.js";
import { goodSpec, openTestDatabase, type TestDatabase } from "../postgres.js";

const test = suite("notification outbox");
let database: TestDatabase;
test.before(async () => {
  database = await openTestDatabase();
});
test.after(() => database?.close());

const apply = (name: string, urls: string[]) =>
  applyApplication(
    database.db,
    name,
    checkSpec(goodSpec({ notificationHooks: urls.map((url) => ({ url })) }), new Violations()),
    0,
  );
const rows = (): Promise<{ id: string; url: string; body: string; deployment_id: string }[]> =>
  database.db("notifications").orderBy("id");

test("one a hook of the present revision, in the transaction", async () => {
  const { db } = database;
  await apply("shop", ["http://old.example/"]);
  await apply("shop", ["http://a.example/", "https://b.example/x"]);
  await apply("quiet", []);
  const strategy = defaultStrategy(["eu"]);
  strategy.stageTimeout = durationFromMs(1_500);
  const deployment = Deployment.fromPartial({
    id: uuidv7(),
    application: "shop",
    state: DeploymentState.SUCCEEDED,
    generation: 7,
    strategy,
  });
  const undone = db.transaction(async (trx) => {
    await enqueueNotification(trx, deployment);
    throw new Error("undone");
  });
  await undone.catch(() => undefined);
  await db.transaction(async (trx) => {
    await enqueueNotification(trx, deployment);
    await enqueueNotification(trx, { ...deployment, application: "quiet" });
    await enqueueNotification(trx, { ...deployment, application: "unknown" });
  });
  const found = await rows();
  assert.equal(
    found.map(({ url, deployment_id: of }) => [url, of]),
    [
      ["http://a.example/", deployment.id],
      ["https://b.example/x", deployment.id],
    ],
  );
  for (const { id, body } of found) {
    const said = JSON.parse(body) as { id: string; time: string; deployment: Deployment };
    assert.is(said.id, id);
    assert.ok(Math.abs(Date.parse(said.time) - Date.now()) < 60_000);
    assert.equal(said.deployment.state, "DEPLOYMENT_STATE_SUCCEEDED");
    const { waves, stageTimeout } = said.deployment.strategy ?? {};
    assert.equal([waves?.[0]?.bakeTime, stageTimeout] as unknown[], ["30s", "1.5s"]);
  }
});

test("a body that gets too large has no steps", async () => {
  const { db } = database;
  await db("notifications").delete();
  const regions = Array.from({ length: 64 }, (_, n) => `${"r".repeat(60)}${n}`);
  const steps = Array.from({ length: 100 }, () => ({ wave: 1, regions, percent: 10 }));
  const deployment = Deployment.fromPartial({ id: uuidv7(), application: "shop", steps });
  await db.transaction((trx) => enqueueNotification(trx, deployment));
  for (const { body } of await rows()) {
    assert.ok(body.length < 1_000);
    assert.ok(body.includes(deployment.id));
  }
});

test.run();
