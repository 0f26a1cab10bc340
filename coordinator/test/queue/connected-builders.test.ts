import { suite } from "uvu";
import * as assert from "uvu/assert";
import { ConnectedBuilders } from "../../src/queue/connected-builders.js";
import { describeQueueing } from "../../src/queue/describe-queueing.js";
import { openTestDatabase, silent, type TestDatabase } from "../postgres.js";

const test = suite("connected builders");
let database: TestDatabase;
let now = 0;

test.before(async () => {
  database = await openTestDatabase();
});
test.after(() => database?.close());
test.before.each(async () => {
  await database.db("connected_builders").delete();
  now = 0;
});

const times = { beatMs: 5_000, seenMs: 20_000, settleMs: 10_000, holdsMs: 0 };

/** A coordinator, as far as that goes, with the builders that are connected to it. */
function coordinator(...ids: string[]) {
  const here = new Set(ids);
  const says = new ConnectedBuilders({
    db: database.db,
    here: () => [...here],
    log: silent,
    times,
    monotonic: () => now,
  });
  return { here, says };
}

/** Lets all of them say who is connected until it can be told. */
async function settle(...all: { says: ConnectedBuilders }[]): Promise<void> {
  for (const end = now + times.settleMs; now <= end; now += times.settleMs / 2) {
    for (const { says } of all) await says.runOnce();
  }
}

test("those of all coordinators count, each once", async () => {
  const [a, b] = [coordinator("b1", "b2"), coordinator("b2", "b3")];
  await settle(a, b);
  for (const { says } of [a, b]) {
    assert.equal(await says.queueing(), { connectedBuilders: 3, blockedBy: "" });
  }
  b.here.clear();
  await b.says.runOnce();
  assert.is((await a.says.queueing())?.connectedBuilders, 2, "b2 has another stream");
  a.here.clear();
  await a.says.runOnce();
  const none = await b.says.queueing();
  assert.is(none?.connectedBuilders, 0);
  assert.match(
    none?.blockedBy ?? "",
    /^no builder is connected to any coordinator \(the last one was b[12], until 2\d{3}-/,
  );
});

test("a coordinator that was killed has no builders once it has said nothing for long", async () => {
  const [a, killed] = [coordinator(), coordinator("b1")];
  await settle(a, killed);
  assert.is((await a.says.queueing())?.connectedBuilders, 1);
  await database
    .db("connected_builders")
    .update({ seen_time: database.db.raw("clock_timestamp() - interval '21 seconds'") });
  assert.is((await a.says.queueing())?.connectedBuilders, 0);
});

test("one that stops takes its builders out at once, and none of another's", async () => {
  const [a, b] = [coordinator("b1"), coordinator("b2")];
  await settle(a, b);
  await b.says.stop();
  await b.says.stop();
  assert.is((await a.says.queueing())?.connectedBuilders, 1);
});

test("it cannot be told after a start, nor after the database was away", async () => {
  const a = coordinator("b1");
  assert.is(await a.says.queueing(), undefined);
  await a.says.runOnce();
  now += times.settleMs - 1;
  await a.says.runOnce();
  assert.is(await a.says.queueing(), undefined);
  now += 1;
  assert.is((await a.says.queueing())?.connectedBuilders, 1);
  now += times.seenMs;
  assert.is(await a.says.queueing(), undefined, "nothing was said for long");
  await a.says.runOnce();
  assert.is(await a.says.queueing(), undefined, "others may not have said it again yet");
});

test("rows of coordinators that are no more go", async () => {
  const [a, old] = [coordinator("b1"), coordinator("b2")];
  await settle(old);
  await database
    .db("connected_builders")
    .update({ seen_time: database.db.raw("clock_timestamp() - interval '8 days'") });
  await a.says.runOnce();
  assert.equal(await database.db("connected_builders").pluck("builder_id"), ["b1"]);
});

test("without any builder ever there is still something to do", () => {
  assert.match(
    describeQueueing(0, undefined),
    /none was in the last 7 days\): start one with "slipway-agent builder"/,
  );
  assert.match(describeQueueing(0, undefined), /slipway token list/, "one may have been revoked");
  assert.is(describeQueueing(1, { id: "b1", time: new Date(0) }), "");
});

test.run();
