import { test } from "uvu";
import * as assert from "uvu/assert";
import { backoffMs } from "../src/backoff.js";

const options = { initialDelayMs: 100, maxDelayMs: 2_000 };

for (const [failures, random, expected] of [
  [1, 0, 50],
  [1, 1, 100],
  [2, 0, 100],
  [2, 0.5, 150],
  [3, 1, 400],
  [5, 1, 1_600],
  [6, 1, 2_000],
  [6, 0, 1_000],
  [10_000, 1, 2_000],
  [0, 1, 100],
] as const) {
  test(`after ${failures} failures and a draw of ${random}: ${expected} ms`, () => {
    assert.is(backoffMs(failures, options, random), expected);
  });
}

test.run();
