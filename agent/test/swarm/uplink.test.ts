import { test } from "uvu";
import * as assert from "uvu/assert";
import type { Priority, Wanted } from "../../src/swarm/priority.js";
import { Uplink, type UplinkRequest } from "../../src/swarm/uplink.js";

const KiB = 1024;
const MiB = 1024 * KiB;
const D = "artifact";

let lastId = 0;
const wants = (link: string, chunk: Wanted, priority: Priority = "normal"): UplinkRequest => ({
  link,
  requestId: ++lastId,
  digest: D,
  chunk,
  priority,
});

/** An uplink that knows that its link sends a MiB in so many milliseconds. */
function knowing(ms: number): Uplink {
  const uplink = new Uplink();
  uplink.add(wants("first", 999));
  for (const { link, requestId } of uplink.next(-ms)) {
    uplink.sending(link, requestId, 999, MiB, -ms);
    uplink.received(link, requestId, 0);
  }
  return uplink;
}

/** Starts what may start, one MiB each. */
function start(uplink: Uplink, now: number): UplinkRequest[] {
  const started = uplink.next(now);
  for (const { link, requestId, chunk } of started) {
    uplink.sending(link, requestId, chunk === "any" ? 0 : chunk, MiB, now);
  }
  return started;
}

/** Sends all that waits, so that each chunk takes no time; the order it went in. */
function drain(uplink: Uplink, now: number): UplinkRequest[] {
  const order: UplinkRequest[] = [];
  for (;;) {
    const started = start(uplink, now);
    if (started.length === 0) return order;
    for (const { link, requestId } of started) uplink.received(link, requestId, now);
    order.push(...started);
  }
}

test("one chunk until the link's speed is known", () => {
  const uplink = new Uplink();
  for (let peer = 0; peer < 9; peer++) uplink.add(wants(`p${peer}`, "any"));
  const [first, ...more] = start(uplink, 0);
  assert.ok(first !== undefined && more.length === 0);
  assert.equal(start(uplink, 1_000), []);
  uplink.received(first.link, first.requestId, 1_001);
  assert.is(start(uplink, 1_001).length, 1);
});

test("the next chunk starts when the link should be about done with the last", () => {
  const uplink = knowing(100);
  for (let peer = 0; peer < 9; peer++) uplink.add(wants(`p${peer}`, "any"));
  assert.is(start(uplink, 0).length, 1);
  assert.equal(start(uplink, 50), []);
  const at = uplink.wakeAt(50) ?? Infinity;
  assert.ok(at > 60 && at < 100, `at ${at}`);
  assert.is(start(uplink, at).length, 1, "its receiver may be slower than this link");
  let now = at;
  while (now < 1_000) start(uplink, (now += 10));
  assert.equal(start(uplink, now), [], "but not more and more");
});

test("the urgent first, then what was sent least, then links in turn", () => {
  const uplink = knowing(1);
  uplink.add(wants("a", 7));
  drain(uplink, 1);
  const late = 10_000;
  uplink.add(wants("a", 7));
  uplink.add(wants("a", 1));
  uplink.add(wants("a", 2));
  uplink.add(wants("b", 3));
  uplink.add(wants("b", 4, "background"));
  uplink.add(wants("b", 5, "urgent"));
  assert.equal(
    drain(uplink, late).map(({ chunk }) => chunk),
    [5, 1, 3, 2, 7, 4],
  );
});

test("who asks by number is sent on while somebody waits, but not who asks for any", () => {
  const uplink = knowing(200);
  assert.ok(uplink.add(wants("a", 0)));
  assert.not(uplink.add(wants("b", 1)));
  assert.ok(uplink.add(wants("b", "any")));
  assert.ok(uplink.add(wants("b", 1, "urgent")), "the urgent need not wait for the others");
  assert.is(start(uplink, 0).length, 1);
  assert.not(uplink.add(wants("c", 2)));
  const fast = knowing(1);
  for (let chunk = 0; chunk < 100; chunk++) assert.ok(fast.add(wants("a", chunk)));
});

test("a link's queue is bounded, and empties with the link or by cancelling", () => {
  const uplink = new Uplink();
  for (let chunk = 0; chunk < 1_024; chunk++) assert.ok(uplink.add(wants("a", "any")));
  assert.not(uplink.add(wants("a", "any")));
  const other = wants("b", 0);
  assert.ok(uplink.add(other));
  uplink.cancel("b", other.requestId);
  uplink.removeLink("a");
  assert.equal(uplink.next(0), []);
  assert.is(uplink.wakeAt(0), undefined);
});

test("one who does not take what is sent holds up nobody else", () => {
  const uplink = new Uplink();
  const [first, second, third] = [wants("stuck", "any"), wants("stuck", "any"), wants("ok", "any")];
  for (const request of [first, second]) uplink.add(request);
  assert.equal(start(uplink, 0), [first]);
  uplink.add(third);
  const at = uplink.wakeAt(0) ?? Infinity;
  assert.ok(at > 0 && at <= 5_000, `at ${at}`);
  assert.equal(start(uplink, at), [third]);
  uplink.received("ok", third.requestId, at + 10);
  assert.equal(start(uplink, at + 10), [], "it gets no more meanwhile");
  uplink.received("stuck", first.requestId, at + 20);
  assert.equal(start(uplink, at + 20), [second]);
});

test("what is dropped makes room, and who leaves does", () => {
  const uplink = new Uplink();
  const [first, second, third] = [wants("a", "any"), wants("b", "any"), wants("c", "any")];
  for (const request of [first, second, third]) uplink.add(request);
  assert.equal(uplink.next(0), [first]);
  uplink.dropped("a", first.requestId, 0);
  assert.equal(uplink.next(0), [second]);
  uplink.removeLink("b");
  assert.equal(uplink.next(0), [third]);
  uplink.received("nobody", 1, 0);
});

test("the cap holds within 5 % over ten seconds, whatever the sizes", () => {
  for (const bytes of [64 * KiB, MiB, 2 * MiB]) {
    const cap = 8 * MiB;
    const uplink = new Uplink({ bytesPerSecond: cap });
    let sent = 0;
    let now = 0;
    for (let chunk = 0; now < 10_000; chunk++) {
      uplink.add(wants("a", chunk));
      for (const request of uplink.next(now)) {
        uplink.sending("a", request.requestId, chunk, bytes, now);
        sent += bytes;
        uplink.received("a", request.requestId, now);
      }
      now = Math.max(now, Math.min(10_000, uplink.wakeAt(now) ?? now));
    }
    assert.ok(Math.abs(sent / (cap * 10) - 1) < 0.05, `${sent / 10} bytes a second`);
  }
});

test.run();
