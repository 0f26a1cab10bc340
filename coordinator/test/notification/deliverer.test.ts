import { createHmac } from "node:crypto";
import type { ServerResponse } from "node:http";
import { Deployment } from "@slipway/proto";
import { suite } from "uvu";
import * as assert from "uvu/assert";
import { checkSpec } from "../../src/application/spec.js";
import { applyApplication } from "../../src/application/store.js";
import { resolveConfig } from "../../src/config.js";
import { systemClock } from "../../src/context.js";
import { EventBus } from "../../src/events.js";
import { Deliverer } from "../../src/notification/deliverer.js";
import { claimDue } from "../../src/notification/delivery-store.js";
import { enqueueNotification } from "../../src/notification/outbox.js";
import { sweepNotifications } from "../../src/notification/retention.js";
import { Stats } from "../../src/stats.js";
import { uuidv7 } from "../../src/uuid.js";
import { Violations } from "../../src/validate.js";
import { eventually, goodSpec, openTestDatabase, silent, type TestDatabase } from "../postgres.js";
import { startHookServer, type HookServer } from "./hook-server.js";

const SECRET = "a secret of 24 bytes    ";
const test = suite("delivering notifications");
let database: TestDatabase;
let hook: HookServer;
const running: Deliverer[] = [];

test.before(async () => {
  database = await openTestDatabase();
});
test.before.each(async () => {
  hook = await startHookServer();
});
test.after.each(async () => {
  for (const deliverer of running.splice(0)) await deliverer.stop();
  await hook.close();
  await database.db("notifications").delete();
});
test.after(() => database?.close());

function start(): Deliverer {
  const config = resolveConfig({
    listen: { host: "127.0.0.1", port: 0 },
    databaseUrl: "postgres://a",
    replicationDatabaseUrl: "postgres://b",
    natsUrls: [],
    goalKeyFile: "",
    pollIntervalMs: 50,
  });
  const deliverer = new Deliverer({
    db: database.db,
    events: new EventBus(silent),
    log: silent,
    clock: systemClock,
    config,
    stats: new Stats(),
    secret: SECRET,
    retry: { firstMs: 20, maxMs: 100 },
  });
  deliverer.start();
  running.push(deliverer);
  return deliverer;
}

/** Enqueues so many notifications for the hook. */
async function enqueue(count = 1, url = hook.url): Promise<void> {
  const { db } = database;
  const spec = checkSpec(goodSpec({ notificationHooks: [{ url }] }), new Violations());
  await applyApplication(db, "shop", spec, 0);
  for (let n = 0; n < count; n += 1) {
    const deployment = Deployment.fromPartial({ id: uuidv7(), application: "shop" });
    await db.transaction((trx) => enqueueNotification(trx, deployment));
  }
}

interface Row {
  id: string;
  state: string;
  attempts: number;
  failure: string;
}
const rows = (): Promise<Row[]> => database.db("notifications").orderBy("id");
const ended = (state: string): Promise<Row[]> =>
  eventually(async () => {
    const found = await rows();
    return found.length > 0 && found.every((row) => row.state === state) ? found : undefined;
  });
const status =
  (code: number, headers: Record<string, string> = {}) =>
  (response: ServerResponse): void =>
    void response.writeHead(code, headers).end("x".repeat(100_000));

test("signed as the receiver checks it", async () => {
  await enqueue();
  start();
  await ended("DELIVERED");
  const [received] = hook.received;
  const signature = String(received?.headers["slipway-signature"]);
  const [, time = "", mac] = /^t=(\d+),v1=([0-9a-f]{64})$/.exec(signature) ?? [];
  assert.ok(Math.abs(Number(time) - Date.now() / 1_000) < 60);
  const expected = createHmac("sha256", SECRET).update(`${time}.${received?.body}`).digest("hex");
  assert.is(mac, expected);
  assert.is(received?.headers["content-type"], "application/json");
});

test("tried until it is taken, with the same id", async () => {
  const answers = [status(500), status(302, { location: hook.url }), status(404), status(201)];
  hook.answer((response) => (answers.shift() ?? status(500))(response));
  await enqueue();
  start();
  const [row] = await ended("DELIVERED");
  assert.equal([row?.attempts, row?.failure], [4, ""]);
  assert.equal(new Set(hook.received.map(({ id }) => id)), new Set([row?.id]));
});

test("by several coordinators, each once", async () => {
  await enqueue(60);
  start();
  start();
  start();
  await ended("DELIVERED");
  assert.is(hook.received.length, 60);
  assert.is(new Set(hook.received.map(({ id }) => id)).size, 60);
});

test("given up after a day, and kept for two weeks", async () => {
  const { db } = database;
  const { signal } = new AbortController();
  const age = (column: string, interval: string) =>
    db("notifications").update({ [column]: db.raw(`clock_timestamp() - interval '${interval}'`) });
  hook.answer(status(503));
  await enqueue();
  await age("create_time", "24 hours");
  start();
  const [row] = await ended("GIVEN_UP");
  assert.equal([row?.attempts, row?.failure], [1, "answered 503"]);
  await age("finish_time", "13 days");
  assert.is(await sweepNotifications(db, silent, signal), 0);
  await age("finish_time", "15 days");
  assert.is(await sweepNotifications(db, silent, signal), 1);
  assert.equal(await rows(), []);
});

test("given up when nobody is there to send it", async () => {
  const { db } = database;
  await enqueue();
  await db("notifications").update({ next_time: db.raw("clock_timestamp() - interval '25 h'") });
  assert.is(await sweepNotifications(db, silent, new AbortController().signal), 1);
  const [row] = await rows();
  assert.is(row?.state, "GIVEN_UP");
  assert.match(row?.failure ?? "", /hook secret/);
});

test("why nobody can be reached is kept, and one that hangs holds up no other", async () => {
  await enqueue(1, "http://127.0.0.1:1/");
  start();
  const failed = await eventually(async () => (await rows()).find(({ failure }) => failure !== ""));
  assert.match(failed.failure, /ECONNREFUSED|bad port/);
  await database.db("notifications").delete();
  let hanging: ServerResponse | undefined;
  hook.answer((response) => {
    if (hanging === undefined) hanging = response;
    else response.writeHead(200).end();
  });
  await enqueue(3);
  const delivered = await eventually(async () => {
    const taken = (await rows()).filter(({ state }) => state === "DELIVERED");
    return taken.length === 2 && taken;
  });
  assert.ok(delivered);
  hanging?.end();
});

test("what is cut off by a stop is there for the next, at once", async () => {
  hook.answer(() => undefined);
  await enqueue();
  const deliverer = start();
  await eventually(() => hook.received[0]);
  await deliverer.stop();
  assert.is((await rows())[0]?.state, "PENDING");
  hook.answer(status(200));
  start();
  const [row] = await ended("DELIVERED");
  assert.equal(
    hook.received.map(({ id }) => id),
    [row?.id, row?.id],
  );
});

test("a claim is nobody else's until it runs out", async () => {
  const { db } = database;
  await enqueue(2);
  const claim = { limit: 5, claimMs: 60_000 };
  const [one, two] = await Promise.all([claimDue(db, claim), claimDue(db, claim)]);
  assert.is(one.length + two.length, 2);
  assert.equal(await claimDue(db, claim), []);
  await db("notifications").update({ next_time: db.raw("clock_timestamp()") });
  const again = await claimDue(db, claim);
  assert.equal(
    again.map(({ attempts }) => attempts),
    [2, 2],
  );
});

test.run();
