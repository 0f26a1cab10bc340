import { Client } from "pg";
import { suite } from "uvu";
import * as assert from "uvu/assert";
import { Notifications, packNotifications, unpackNotification } from "../src/db/notifications.js";
import { Presence, PRESENCE_MS } from "../src/db/presence.js";
import { EventBus, type ChangeEvent } from "../src/events.js";
import { Wake } from "../src/wake.js";
import { eventually, openPool, openTestDatabase, silent, type TestDatabase } from "./postgres.js";

const test = suite("events");
let database: TestDatabase;
test.before(async () => {
  database = await openTestDatabase();
});
test.after(() => database.close());

const { signal } = new AbortController();

test("a signal between two waits is not lost", async () => {
  const wake = new Wake();
  wake.signal();
  wake.signal();
  await wake.next({ timeoutMs: 60_000, signal });
  const started = Date.now();
  await wake.next({ timeoutMs: 30, signal });
  assert.ok(Date.now() - started >= 25);
  setTimeout(() => wake.signal(), 5);
  await wake.next({ timeoutMs: 60_000, signal });
});

test("a wait ends with its signal", async () => {
  const stop = new AbortController();
  const reason = new Error("stopped");
  const waiting = new Wake().next({ timeoutMs: 60_000, signal: stop.signal });
  stop.abort(reason);
  assert.is(await waiting.catch((error: unknown) => error), reason);
  const late = new Wake().next({ timeoutMs: 60_000, signal: stop.signal });
  assert.is(await late.catch((error: unknown) => error), reason);
});

test("listeners hear of their kind and id, until they stop", () => {
  const bus = new EventBus(silent);
  const heard: string[] = [];
  const stopAll = bus.subscribe("build", (id) => heard.push(`all ${id}`));
  const stopOne = bus.subscribe("build", (id) => heard.push(`one ${id}`), "1");
  bus.subscribe("build", () => {
    throw new Error("a bad listener");
  });
  bus.publish({ kind: "build", id: "1" }, { kind: "build", id: "2" }, { kind: "queue", id: "" });
  assert.equal(heard.splice(0), ["all 1", "one 1", "all 2"]);
  bus.deliverAll();
  assert.equal(heard.splice(0), ["all undefined", "one undefined"]);
  stopAll();
  stopOne();
  stopOne();
  bus.publish({ kind: "build", id: "1" });
  assert.equal(heard, []);
});

const event = (id: string): ChangeEvent => ({ kind: "build", id });

test("what is published together is one broadcast, without doubles", async () => {
  const bus = new EventBus(silent);
  const batches: (readonly ChangeEvent[])[] = [];
  bus.setBroadcast((events) => {
    batches.push(events);
    return batches.length === 1 ? Promise.reject(new Error("no database")) : Promise.resolve();
  });
  bus.publish(event("1"), event("2"));
  bus.publish(event("1"));
  await eventually(() => batches.length === 1 || undefined);
  bus.publish(event("3"));
  await eventually(() => batches.length === 2 || undefined);
  assert.equal(batches, [[event("1"), event("2")], [event("3")]]);
});

test("notifications are packed within the bound and read back", () => {
  const events = Array.from({ length: 1_000 }, (_, number) => ({
    kind: "artifact" as const,
    id: `sha256:${String(number).padStart(64, "0")}`,
  }));
  const payloads = packNotifications("me", events);
  assert.ok(payloads.length > 1);
  assert.ok(payloads.every((payload) => Buffer.byteLength(payload) < 8_000));
  const read = payloads.map(unpackNotification);
  assert.ok(read.every((one) => one?.sender === "me"));
  assert.equal(
    read.flatMap((one) => one?.events ?? []),
    events,
  );
  assert.equal(packNotifications("me", []), []);
  assert.is(unpackNotification(""), undefined);
  assert.equal(unpackNotification("me\nnewer x\nqueue "), {
    sender: "me",
    isWelcome: false,
    events: [{ kind: "queue", id: "" }],
  });
  assert.equal(unpackNotification("me\nwelcome "), { sender: "me", isWelcome: true, events: [] });
});

test("one coordinator hears another, also after its connection was cut", async () => {
  const { db, url } = database;
  const otherDb = openPool(url);
  const [one, other] = [new EventBus(silent), new EventBus(silent)];
  const services = [
    new Notifications({ url, db, events: one, log: silent }),
    new Notifications({ url, db: otherDb, events: other, log: silent }),
  ];
  const heard: (string | undefined)[] = [];
  other.subscribe("build", (id) => heard.push(id));
  for (const service of services) service.start();
  // Anything may have changed before it listened.
  await eventually(() => heard.length === 2 || undefined);
  assert.equal(heard.splice(0), [undefined, undefined]);
  one.publish({ kind: "build", id: "1" });
  await eventually(() => heard.length > 0 || undefined);
  assert.equal(heard.splice(0), ["1"]);

  const ours = "application_name = 'slipway changes'";
  await db.raw(`select pg_terminate_backend(pid) from pg_stat_activity where ${ours}`);
  await eventually(() => heard.includes(undefined) || undefined);
  heard.splice(0);
  one.publish({ kind: "build", id: "2" });
  await eventually(() => heard.includes("2") || undefined);
  for (const service of services) {
    await service.stop();
    await service.stop();
  }
  await otherDb.destroy();
});

test("a lone coordinator tells nobody, and one that comes later has it read all again", async () => {
  const { db, url } = database;
  const told: string[] = [];
  const listener = new Client({ connectionString: url });
  await listener.connect();
  listener.on("notification", ({ payload }) => told.push(payload?.split("\n")[1] ?? ""));
  await listener.query("listen slipway_changes");
  const one = new EventBus(silent);
  const first = new Notifications({ url, db, events: one, log: silent });
  first.start();
  await eventually(() => told.includes("hello ") || undefined);
  await eventually(() => first.listening || undefined);
  one.publish({ kind: "build", id: "unheard" });

  const other = new EventBus(silent);
  const heard: (string | undefined)[] = [];
  other.subscribe("build", (id) => heard.push(id));
  const second = new Notifications({ url, db, events: other, log: silent });
  second.start();
  // By its connection, and by what the first one says as soon as it knows of it.
  await eventually(() => heard.length >= 2 || undefined);
  assert.equal(heard.splice(0, 2), [undefined, undefined]);
  one.publish({ kind: "build", id: "heard" });
  await eventually(() => heard.includes("heard") || undefined);
  assert.ok(!told.includes("build unheard"));
  assert.ok(told.includes("build heard"));
  await first.stop();
  await second.stop();
  await listener.end();
});

test("others are there for as long as they are heard", () => {
  const presence = new Presence();
  assert.ok(presence.isAlone(0));
  assert.ok(presence.hear("a", 0));
  assert.not(presence.hear("a", PRESENCE_MS));
  assert.not(presence.isAlone(2 * PRESENCE_MS));
  assert.ok(presence.isAlone(2 * PRESENCE_MS + 1));
  assert.ok(presence.hear("a", 3 * PRESENCE_MS));
});

test("notifications stop before they start", async () => {
  const { db, url } = database;
  const service = new Notifications({ url, db, events: new EventBus(silent), log: silent });
  await service.stop();
  service.start();
  await service.stop();
});

test.run();
