import { test } from "uvu";
import * as assert from "uvu/assert";
import { OwnLink } from "../../src/swarm/own-link.js";

/** Bytes of so many neighbours in turn, a piece a time; returns when the last came. */
function flow(link: OwnLink, senders: number, bytesPerMs: number, ms: number, from = 0): number {
  const piece = 16 * 1024;
  let now = from;
  for (let turn = 0; now < from + ms; turn++) {
    link.arrived(`p${turn % senders}`, piece, (now += piece / bytesPerMs));
  }
  return now;
}

function turnSeconds(link: OwnLink, owedBytes: number): number {
  link.owedBytes = owedBytes;
  return Math.round(link.turnMs(4) / 100) / 10;
}

test("what the link carries is known once several send, whatever its rate", () => {
  for (const bytesPerMs of [12.5, 60, 6_000, 1_250_000]) {
    for (const senders of [1, 2, 3, 10]) {
      const link = new OwnLink();
      flow(link, senders, bytesPerMs, bytesPerMs < 1_000 ? 60_000 : 1_000);
      const carried = link.carries(1_000);
      if (senders < 3) assert.is(carried, Infinity, "it may be them who are slow");
      else assert.ok(Math.abs(carried / (bytesPerMs * 1_000) - 1) < 0.1, `${carried}`);
      assert.is(link.msFor(0), 0);
      assert.is(link.msFor(1_000) > 0, senders >= 3);
    }
  }
});

test("slow ones are not taken for the link when somebody faster comes", () => {
  const link = new OwnLink();
  const now = flow(link, 3, 10, 60_000);
  assert.ok(link.carries(1) < 11);
  flow(link, 1, 1_000, 1_000, now);
  assert.is(link.carries(1), Infinity);
});

test("a link that becomes slower is known to be, in a while", () => {
  const link = new OwnLink();
  const now = flow(link, 3, 6_000, 1_000);
  flow(link, 3, 60, 120_000, now);
  assert.ok(link.carries(1) < 100);
});

test("how long one waits for its turn is told by what came, however few send", () => {
  for (const senders of [1, 2, 3]) {
    assert.is(turnSeconds(new OwnLink(), 1024 * 1024), 0);
    const fast = new OwnLink();
    flow(fast, senders, 6_000, 1_000);
    assert.is(turnSeconds(fast, 1_500_000), 1);
    const slow = new OwnLink();
    flow(slow, senders, 60, 60_000);
    assert.is(turnSeconds(slow, 300_000), 20);
    assert.is(turnSeconds(slow, 900_000), senders < 3 ? 30 : 60);
  }
});

test("nothing from anybody for a while is nobody's turn", () => {
  for (const [bytesPerMs, quietMs] of [
    [6_000, 5_000],
    [12.5, 20_972],
    [1, 60_000],
  ] as const) {
    const link = new OwnLink();
    const now = flow(link, 3, bytesPerMs, 120_000);
    assert.not(link.isQuiet(0, now + quietMs * 0.9));
    assert.ok(link.isQuiet(0, now + quietMs * 1.1));
    assert.not(link.isQuiet(now + quietMs, now + quietMs * 1.1), "it owes nothing for as long");
  }
});

test.run();
