import { test } from "uvu";
import * as assert from "uvu/assert";
import { Freshness } from "../../src/rollout/freshness.js";

const START = 1_000_000;

test("what was read is fresh for a while", () => {
  const freshness = new Freshness();
  freshness.read(START);
  assert.is(freshness.staleSince(START + 5_000), undefined);
  assert.is(freshness.staleSince(START + 5_001), START);
});

test("a read that fails makes it old at once, one that succeeds fresh again", () => {
  const freshness = new Freshness();
  freshness.read(START);
  freshness.failed();
  assert.is(freshness.staleSince(START + 1), START);
  freshness.read(START + 2);
  assert.is(freshness.staleSince(START + 3), undefined);
});

test("a read that began earlier and ends later takes nothing back", () => {
  const freshness = new Freshness();
  freshness.read(START + 100);
  freshness.read(START);
  freshness.failed();
  assert.is(freshness.staleSince(START + 101), START + 100);
});

test.run();
