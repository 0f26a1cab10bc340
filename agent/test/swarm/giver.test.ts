import { test } from "uvu";
import * as assert from "uvu/assert";
import { Bitfield } from "../../src/store/bitfield.js";
import { Giver } from "../../src/swarm/giver.js";

const D = "artifact";

/** All that a neighbour is given until there is nothing new. */
function giveAll(giver: Giver, peer: string, chunks: number): number[] {
  const given: number[] = [];
  for (;;) {
    const chunk = giver.pick(peer, D, chunks);
    if (chunk === undefined) return given.sort((a, b) => a - b);
    given.push(chunk);
  }
}

test("each chunk is given once, whoever asks", () => {
  const giver = new Giver();
  const given = new Set<number>();
  for (let turn = 0; turn < 10; turn++) {
    const chunk = giver.pick(`p${turn % 3}`, D, 10);
    assert.type(chunk, "number");
    given.add(chunk ?? -1);
  }
  assert.is(given.size, 10);
  assert.is(giver.pick("late", D, 10), undefined);
});

test("what a neighbour has is not given", () => {
  const giver = new Giver();
  const half = new Bitfield(6);
  for (const chunk of [0, 2, 4]) half.set(chunk);
  giver.setHolding("a", D, 6, half);
  giver.setHolding("b", D, 6, new Bitfield(6));
  giver.addHave("b", D, [5, 99]);
  assert.equal(giveAll(giver, "b", 6), [1, 3]);
});

test("what could not be sent, or went to one who left, is given again", () => {
  const giver = new Giver();
  giver.setHolding("a", D, 4, new Bitfield(4));
  giver.setHolding("b", D, 4, new Bitfield(4));
  const chunk = giver.pick("a", D, 4) ?? -1;
  giver.returned("a", D, chunk);
  giver.returned("a", D, chunk);
  assert.equal(giveAll(giver, "a", 4), [0, 1, 2, 3]);
  giver.addHave("b", D, [2]);
  giver.removePeer("a");
  assert.equal(giveAll(giver, "b", 4), [0, 1, 3]);
});

test("one who is done still counts, until nobody is interested", () => {
  const giver = new Giver();
  giver.setHolding("a", D, 2, new Bitfield(2));
  giver.setHolding("b", D, 2, new Bitfield(2));
  assert.equal(giveAll(giver, "a", 2), [0, 1]);
  giver.removeInterest("a", D);
  assert.equal(giveAll(giver, "b", 2), []);
  giver.removeInterest("b", D);
  assert.equal(giveAll(giver, "c", 2), [0, 1]);
});

test("a neighbour that has it all", () => {
  const giver = new Giver();
  giver.setHolding("a", D, 3, "all");
  assert.equal(giveAll(giver, "b", 3), []);
  giver.setHolding("a", D, 3, new Bitfield(3));
  assert.equal(giveAll(giver, "b", 3), [0, 1, 2]);
});

test.run();
