import { suite } from "uvu";
import * as assert from "uvu/assert";
import { FailureLimiter } from "../../src/auth/failure-limiter.js";

const test = suite("limit of failures");

test("ten in a minute, then the address waits until the minute is over", () => {
  const limiter = new FailureLimiter();
  for (let count = 0; count < 10; count += 1) {
    assert.is(limiter.waitMs("a", 1_000), 0, `after ${count} failures`);
    limiter.failed("a", 1_000);
  }
  assert.is(limiter.waitMs("a", 1_000), 60_000);
  assert.is(limiter.waitMs("a", 31_000), 30_000);
  assert.is(limiter.waitMs("b", 31_000), 0, "another address");
  assert.is(limiter.waitMs("a", 61_000), 0);
  limiter.failed("a", 61_000);
  assert.is(limiter.waitMs("a", 61_000), 0, "counted from the start again");
});

test("nobody waits for a clock that was set back", () => {
  const limiter = new FailureLimiter();
  for (let count = 0; count < 10; count += 1) limiter.failed("a", 3_600_000);
  assert.is(limiter.waitMs("a", 3_600_000), 60_000);
  assert.is(limiter.waitMs("a", 0), 0);
  for (let count = 0; count < 10; count += 1) limiter.failed("a", 0);
  assert.is(limiter.waitMs("a", 0), 60_000);
});

test("a flood of addresses takes no more memory than 10,000 of them", () => {
  const limiter = new FailureLimiter();
  for (let count = 0; count < 30_000; count += 1) limiter.failed(`address ${count}`, count);
  assert.is(limiter.size, 10_000);
});

test.run();
