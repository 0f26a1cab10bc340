import { EventEmitter, once } from "node:events";
import { test } from "uvu";
import * as assert from "uvu/assert";
import { Door, RateLimiter, WaitingRoom, addressOf } from "../src/admission/index.js";

test("what addresses are counted by", () => {
  const table = [
    ["10.1.2.3:4567", "10.1.2.3"],
    ["::ffff:10.1.2.3:4567", "10.1.2.3"],
    ["2001:db8:1:2:3:4:5:6:4567", "2001:db8:1:2"],
    ["[2001:db8:1:2::9]:4567", "2001:db8:1:2"],
    ["2001:db8::1:4567", "2001:db8:0:0"],
    ["::1:4567", "0:0:0:0"],
    ["unknown", "unknown"],
  ] as const;
  for (const [peer, address] of table) assert.is(addressOf(peer), address, peer);
});

test("an address without a port is the same", () => {
  for (const [host, address] of [
    ["10.1.2.3", "10.1.2.3"],
    ["::ffff:10.1.2.3", "10.1.2.3"],
    ["2001:db8::1", "2001:db8:0:0"],
    ["::1", "0:0:0:0"],
  ] as const) {
    assert.is(addressOf(host, "without-port"), address, host);
  }
});

const limits = { each: { burst: 10, perSecond: 2 }, all: { burst: 25, perSecond: 5 } };
/** How many of so many tries are allowed. */
const tries = (limiter: RateLimiter, address: string, count: number, now: number): number =>
  Array.from({ length: count }).filter(() => limiter.allow(address, now)).length;

test("so many at once, then so many a second, of each address and in all", () => {
  const limiter = new RateLimiter(limits);
  assert.is(tries(limiter, "a", 1_000, 0), 10);
  assert.is(tries(limiter, "b", 1_000, 0), 10, "what was refused to another took nothing");
  assert.is(tries(limiter, "c", 1_000, 0), 5, "in all");
  assert.is(tries(limiter, "a", 1_000, 1_000), 2);
  assert.is(tries(limiter, "a", 1_000, 900), 0, "a clock that goes back gives nothing");
  assert.is(tries(limiter, "b", 1_000, 1_000), 2);
  assert.is(tries(limiter, "c", 1_000, 1_000), 1);
  assert.is(tries(limiter, "d", 1_000, 1_000_000), 10, "never more at once");
});

test("a flood from more addresses than are remembered takes no more than all may", () => {
  const limiter = new RateLimiter(limits);
  let allowed = 0;
  for (let number = 0; number < 30_000; number++) allowed += tries(limiter, `${number}`, 2, 1_000);
  assert.is(allowed, 25);
  assert.is(limiter.size, 10_000);
});

test("room is made by who has waited longest of the address with most", () => {
  const room = new WaitingRoom<string>({ each: 3, all: 5 });
  for (const guest of ["a1", "a2", "a3"]) assert.is(room.enter(guest, "a"), undefined);
  assert.is(room.enter("a4", "a"), "a1", "of its own address");
  assert.is(room.enter("b1", "b"), undefined);
  assert.is(room.enter("b2", "b"), undefined);
  assert.is(room.enter("c1", "c"), "a2", "of who has most");
  assert.is(room.enter("c2", "c"), "a3", "of several the first");
  assert.ok(room.leave("b2"));
  assert.not(room.leave("b2"), "twice");
  assert.equal([...room.guests()], ["a4", "b1", "c1", "c2"]);
  assert.is(room.enter("d1", "d"), undefined);
  assert.is(room.enter("e1", "e"), "c1");
  assert.is(room.size, 5);
  for (const guest of room.guests()) room.leave(guest);
  assert.is(room.size, 0);
});

test("who says at once who it is gets in through a crowd of those who do not", () => {
  const room = new WaitingRoom<string>({ each: 100, all: 150 });
  const lost: string[] = [];
  for (let count = 0; count < 10_000; count++) {
    // Of a thousand addresses, and of the very same one.
    for (const address of [`hostile ${count % 1_000}`, "shared"]) {
      const leaving = room.enter(`hostile ${address} ${count}`, address);
      if (leaving?.startsWith("honest") === true) lost.push(leaving);
    }
    if (count % 100 !== 0) continue;
    const leaving = room.enter(`honest ${count}`, "shared");
    if (leaving?.startsWith("honest") === true) lost.push(leaving);
    if (count >= 100) room.leave(`honest ${count - 50}`);
    // Its word comes while some fifty others come.
    room.leave(`honest ${count}`);
  }
  assert.equal(lost, []);
  assert.ok(room.size <= 150);
});

test("a door closes what is too much and what is late, and says why", async () => {
  const closed: string[] = [];
  const refused: string[] = [];
  const closing = new EventEmitter();
  const door = new Door<string>({
    limits: {
      rate: { each: { burst: 4, perSecond: 0 }, all: { burst: 100, perSecond: 0 } },
      room: { each: 2, all: 10 },
      proveMs: 20,
    },
    close: (guest) => {
      closed.push(guest);
      closing.emit("closed");
    },
    onRefused: (reason) => refused.push(reason),
  });
  assert.ok(door.enter("a1", "a"));
  assert.ok(door.enter("a2", "a"));
  assert.ok(door.leave("a1"), "it proved who it is");
  assert.ok(door.enter("a3", "a"));
  assert.ok(door.enter("a4", "a"));
  assert.equal([closed, refused], [["a2"], ["crowded"]]);
  assert.not(door.enter("a5", "a"));
  assert.equal(refused, ["crowded", "rate"]);
  while (closed.length < 3) await once(closing, "closed", { signal: AbortSignal.timeout(10_000) });
  assert.equal(closed, ["a2", "a3", "a4"]);
  assert.equal(refused, ["crowded", "rate", "late", "late"]);
  assert.is(door.size, 0);
  assert.ok(door.enter("b1", "b"));
  door.stop();
  assert.ok(door.has("b1"));
});

test.run();
