import { test } from "uvu";
import * as assert from "uvu/assert";
import type { Priority, Wanted } from "../../src/swarm/priority.js";
import { Uplink, type UplinkRequest } from "../../src/swarm/uplink.js";

const MiB = 1024 * 1024;
const D = "artifact";

let lastId = 0;
const wants = (link: string, chunk: Wanted, priority: Priority = "normal"): UplinkRequest => ({
  link,
  requestId: ++lastId,
  digest: D,
  chunk,
  priority,
});

/** Sends all that is to go out at once, so that each chunk takes no time; the order it went in. */
function drain(uplink: Uplink): UplinkRequest[] {
  const order: UplinkRequest[] = [];
  for (let now = 0; ; now++) {
    const started = uplink.next(now);
    if (started.length === 0) return order;
    for (const request of started) {
      order.push(request);
      const chunk = request.chunk === "any" ? 0 : request.chunk;
      uplink.sending(request.link, request.requestId, chunk, MiB, now);
      uplink.received(request.link, request.requestId, now);
    }
  }
}

test("two chunks at once until it is known to be fast", () => {
  const uplink = new Uplink();
  for (let chunk = 0; chunk < 9; chunk++) uplink.add(wants("a", chunk), 0);
  const first = uplink.next(0);
  assert.is(first.length, 2);
  assert.equal(uplink.next(1), []);
  const [done] = first;
  assert.ok(done);
  uplink.sending("a", done.requestId, 0, MiB, 1);
  uplink.received("a", done.requestId, 2);
  assert.is(uplink.next(2).length, 1);
});

test("the urgent first, then what was sent least, then links in turn", () => {
  const uplink = new Uplink();
  const sentBefore = wants("a", 7);
  uplink.add(sentBefore, 0);
  drain(uplink);
  uplink.add(wants("a", 7), 0);
  uplink.add(wants("a", 1), 0);
  uplink.add(wants("a", 2), 0);
  uplink.add(wants("b", 3), 0);
  uplink.add(wants("b", 4, "background"), 0);
  uplink.add(wants("b", 5, "urgent"), 0);
  assert.equal(
    drain(uplink).map(({ chunk }) => chunk),
    [5, 1, 3, 2, 7, 4],
  );
});

test("a link's queue is bounded, and empties with the link or by cancelling", () => {
  const uplink = new Uplink();
  for (let chunk = 0; chunk < 1_024; chunk++) assert.ok(uplink.add(wants("a", chunk), 0));
  assert.not(uplink.add(wants("a", 0), 0));
  const other = wants("b", 0);
  assert.ok(uplink.add(other, 0));
  uplink.cancel("b", other.requestId);
  uplink.removeLink("a");
  assert.equal(uplink.next(0), []);
  assert.is(uplink.wakeAt(0), undefined);
});

test("one who does not take what is sent holds up nobody else", () => {
  const uplink = new Uplink();
  const stuck = [wants("stuck", 0), wants("stuck", 1), wants("stuck", 2)];
  for (const request of stuck) uplink.add(request, 0);
  assert.is(uplink.next(0).length, 2);
  for (const { requestId, chunk } of stuck.slice(0, 2)) {
    uplink.sending("stuck", requestId, Number(chunk), MiB, 0);
  }
  uplink.add(wants("good", 3), 0);
  assert.equal(uplink.next(10), []);
  const at = uplink.wakeAt(10) ?? Infinity;
  assert.ok(at > 10 && at <= 20_000, `at ${at}`);
  assert.equal(
    uplink.next(at).map(({ link }) => link),
    ["good"],
  );
  for (const { requestId } of stuck.slice(0, 2)) uplink.received("stuck", requestId, at);
  assert.equal(
    uplink.next(at).map(({ link }) => link),
    ["stuck"],
  );
});

test("what is dropped makes room, and who leaves does", () => {
  const uplink = new Uplink();
  const [first, second, third] = [wants("a", 0), wants("b", 1), wants("c", 2)];
  for (const request of [first, second, third, wants("c", 3)]) uplink.add(request, 0);
  assert.is(uplink.next(0).length, 2);
  uplink.dropped("a", first.requestId, 0);
  assert.is(uplink.next(0).length, 1);
  uplink.removeLink("b");
  assert.is(uplink.next(0).length, 1);
  uplink.received("nobody", 1, 0);
});

test("the cap holds within 5 % over ten seconds, whatever the sizes", () => {
  for (const bytes of [64 * 1024, MiB, 2 * MiB]) {
    const cap = 8 * MiB;
    const uplink = new Uplink({ bytesPerSecond: cap });
    let sent = 0;
    let now = 0;
    for (let chunk = 0; now < 10_000; chunk++) {
      uplink.add(wants("a", chunk), now);
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
