import { test } from "uvu";
import * as assert from "uvu/assert";
import { GAP_MS, Hearing, RETURN_MS } from "../../src/status/hearing.js";

const START = 1_000_000;

test("nothing is heard before NATS has answered, nor long after", () => {
  const hearing = new Hearing(START - 7);
  assert.is(hearing.since(START), undefined);
  hearing.note(START);
  assert.is(hearing.since(START + GAP_MS), START);
  assert.is(hearing.since(START + GAP_MS + 1), undefined);
});

test("it is heard since the last gap", () => {
  const hearing = new Hearing(START - 7);
  for (let at = 0; at <= 3; at += 1) hearing.note(START + at * GAP_MS);
  assert.is(hearing.since(START + 3 * GAP_MS), START);
  const back = START + 4 * GAP_MS + 1;
  hearing.note(back);
  assert.is(hearing.since(back + 1), back);
  hearing.note(back - 10);
  assert.is(hearing.since(back + GAP_MS), back, "an answer that is late takes nothing back");
});

test("what is not heard is not heard since the last answer, at once when the connection breaks", () => {
  const hearing = new Hearing(START - 7);
  assert.is(hearing.unheardSince(START), START - 7, "since it began");
  hearing.note(START);
  assert.is(hearing.unheardSince(START + GAP_MS), undefined);
  assert.is(hearing.unheardSince(START + GAP_MS + 1), START);
  hearing.note(START + 100);
  hearing.lost();
  assert.is(hearing.unheardSince(START + 101), START + 100);
  assert.is(hearing.since(START + 101), START, "which does not count as a gap yet");
  hearing.note(START + 200);
  assert.is(hearing.unheardSince(START + 201), undefined);
});

test("after a gap agents are given some time to be heard again", () => {
  const hearing = new Hearing(START - 7);
  hearing.note(START);
  assert.is(hearing.returningSince(START), undefined, "at the start there was no gap");
  const back = START + GAP_MS + 1;
  hearing.note(back);
  assert.is(hearing.unheardSince(back), undefined);
  assert.is(hearing.returningSince(back + RETURN_MS - 1), START);
  assert.is(hearing.returningSince(back + RETURN_MS), undefined);
});

test.run();
