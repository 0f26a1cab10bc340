import { test } from "uvu";
import * as assert from "uvu/assert";
import {
  nextReplication,
  type PresentReplication,
  type StoredState,
} from "../../src/replication/next-replication.js";

const present = (state: StoredState, bytesCopied: number, failures = 0): PresentReplication => ({
  state,
  bytesCopied,
  sizeBytes: 100,
  message: "",
  failures,
});

type Case = [
  before: PresentReplication,
  report: [StoredState, number],
  after: [StoredState, number] | undefined,
  offered: boolean,
];

const CASES: Case[] = [
  [present("PENDING", 0), ["COPYING", 10], ["COPYING", 10], false],
  [present("COPYING", 40), ["COPYING", 10], undefined, false],
  [present("COPYING", 40), ["COPYING", 60], ["COPYING", 60], false],
  [present("COPYING", 40), ["COPYING", 900], ["COPYING", 100], false],
  [present("FAILED", 40), ["COPYING", 0], ["COPYING", 0], false],
  [present("COPYING", 40), ["COMPLETE", 0], ["COMPLETE", 100], false],
  [present("COPYING", 40), ["FAILED", 40], ["FAILED", 40], true],
  [present("COMPLETE", 100), ["COMPLETE", 100], undefined, false],
  [present("COMPLETE", 100), ["COPYING", 50], undefined, false],
  [present("COMPLETE", 100), ["PENDING", 0], ["PENDING", 0], true],
  [present("COMPLETE", 100), ["FAILED", 0], ["FAILED", 0], true],
  [present("PENDING", 0), ["PENDING", 0], undefined, false],
];

for (const [before, [state, bytesCopied], after, offered] of CASES) {
  test(`${before.state} ${before.bytesCopied} × ${state} ${bytesCopied}`, () => {
    const next = nextReplication(before, { state, bytesCopied, message: "" });
    assert.equal(next && [next.state, next.bytesCopied], after);
    assert.is(next?.offerAgainAfterMs !== undefined, offered);
  });
}

test("each failure in a row waits longer, up to a minute", () => {
  const waits = [0, 1, 2, 3, 10, 1_000].map((failures) => {
    const next = nextReplication(present("COPYING", 1, failures), {
      state: "FAILED",
      bytesCopied: 1,
      message: "disk full",
    });
    assert.is(next?.failures, failures + 1);
    return next?.offerAgainAfterMs ?? 0;
  });
  const nominal = [2_000, 4_000, 8_000, 16_000, 60_000, 60_000];
  for (const [index, wait] of waits.entries()) {
    const most = nominal[index] ?? 0;
    assert.ok(wait <= most && wait >= most * 0.8, `${wait} of ${most}`);
  }
});

test("a complete copy forgets the failures before it", () => {
  const report = { state: "COMPLETE", bytesCopied: 100, message: "ignored" } as const;
  const next = nextReplication(present("COPYING", 50, 4), report);
  assert.equal([next?.failures, next?.message], [0, ""]);
});

test.run();
