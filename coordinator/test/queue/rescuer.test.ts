import { test } from "uvu";
import * as assert from "uvu/assert";
import { RescueGate } from "../../src/queue/rescue-gate.js";
import { Rescuer } from "../../src/queue/rescuer.js";
import { silent } from "../postgres.js";

test("the gate opens one lease period after the database is there, and shuts after a gap", () => {
  const gate = new RescueGate({ holdMs: 15_000, maxGapMs: 7_500 });
  const table: [now: number, answered: boolean, open: boolean][] = [
    [0, false, false],
    [0, true, false],
    [5_000, true, false],
    [10_000, true, false],
    [14_999, true, false],
    [15_000, true, true],
    [20_000, true, true],
    // No answer for 8 s: the database was away, or this process stood still.
    [28_000, false, false],
    [28_000, true, false],
    [35_000, true, false],
    [42_000, true, false],
    [43_000, true, true],
    [50_500, false, true],
    [50_501, false, false],
  ];
  for (const [now, answered, open] of table) {
    if (answered) gate.answered(now);
    assert.is(gate.isOpen(now), open, `at ${now}`);
  }
});

test("nothing is rescued until a lease period after the start, nor after an outage", async () => {
  let now = 0;
  let isDown = false;
  let rescues = 0;
  const rescuer = new Rescuer({
    leaseDurationMs: 10_000,
    log: silent,
    monotonic: () => now,
    queue: {
      rescue: () => {
        rescues += 1;
        return Promise.resolve({ requeued: [], failed: [] });
      },
      backlog: () =>
        isDown
          ? Promise.reject(new Error("connection terminated"))
          : Promise.resolve({ count: 1, oldestAgeMs: 5 }),
    },
  });
  for (now = 0; now < 10_000; now += 2_000) assert.is(await rescuer.runOnce(), false);
  assert.is(await rescuer.runOnce(), true);
  assert.is(rescues, 1);
  isDown = true;
  for (const end = now + 8_000; now < end; now += 2_000) {
    await rescuer.runOnce().catch(() => undefined);
  }
  rescues = 0;
  isDown = false;
  for (const end = now + 10_000; now < end; now += 2_000) {
    assert.is(await rescuer.runOnce(), false);
  }
  assert.is(rescues, 0);
  assert.is(await rescuer.runOnce(), true);
});

test("stops twice, and before it was started", async () => {
  const queue = {
    rescue: () => Promise.reject(new Error("never")),
    backlog: () => Promise.resolve({ count: 0, oldestAgeMs: 0 }),
  };
  const rescuer = new Rescuer({ leaseDurationMs: 10_000, log: silent, queue });
  await rescuer.stop();
  rescuer.start();
  await rescuer.stop();
  const running = new Rescuer({ leaseDurationMs: 10_000, log: silent, queue });
  running.start();
  await running.stop();
  await running.stop();
});

test.run();
