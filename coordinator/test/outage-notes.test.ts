import { test } from "uvu";
import * as assert from "uvu/assert";
import { OutageNotes } from "../src/outage-notes.js";

test("is said at first, then now and then with what was left out, and when it is over", () => {
  const notes = new OutageNotes({ repeatMs: 20_000, quietMs: 10_000 });
  const said: unknown[] = [];
  for (let now = 0; now <= 45_000; now += 500) {
    const note = notes.failed("Postgres", now);
    if (note.say === "all") said.push([now, note.suppressed]);
    assert.equal(notes.ended(now), []);
  }
  assert.equal(said, [
    [0, 0],
    [20_000, 39],
    [40_000, 39],
  ]);
  assert.equal(notes.ended(54_999), []);
  const over = { server: "Postgres", durationMs: 45_000, suppressed: 10 };
  assert.equal(notes.ended(55_000), [over]);
  assert.equal(notes.ended(55_000), [], "once");
  assert.equal(notes.failed("Postgres", 55_001), { say: "all", suppressed: 0 });
});

test("servers are told apart", () => {
  const notes = new OutageNotes({ repeatMs: 20_000, quietMs: 10_000 });
  assert.is(notes.failed("Postgres", 0).say, "all");
  assert.is(notes.failed("NATS", 1).say, "all");
  assert.is(notes.failed("NATS", 2).say, "nothing");
  assert.is(notes.failed("Postgres", 9_000).say, "nothing");
  assert.equal(
    notes.ended(10_002).map(({ server }) => server),
    ["NATS"],
  );
});

test.run();
