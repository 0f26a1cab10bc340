import { randomBytes } from "node:crypto";
import { test } from "uvu";
import * as assert from "uvu/assert";
import { ADMISSION_LIMITS } from "../../src/swarm/admission-limits.js";
import { DhtGate, REPEATED_MS } from "../../src/swarm/dht-gate.js";

const from = (host: string) => ({ host });
const query = (command: number, host = "a") => ({
  internal: false,
  command,
  value: null,
  from: from(host),
});
/** As HyperDHT says it: flags, mode, length, Noise. */
const handshake = (noise: Buffer, host = "a", flags = 0, mode = 0) => ({
  internal: false,
  command: 0,
  value: Buffer.concat([
    Buffer.from([flags, mode]),
    noise.length > 0xfc
      ? Buffer.from([0xfd, noise.length & 255, noise.length >> 8])
      : Buffer.from([noise.length]),
    noise,
  ]),
  from: from(host),
});

test("members' requests are answered, others are not", () => {
  const gate = new DhtGate(ADMISSION_LIMITS);
  for (const [what, request, refusal] of [
    ["ping", { ...query(0), internal: true }, undefined],
    ["a ping of another port", { ...query(1), internal: true }, "dht_request"],
    ["nodes near by", { ...query(2), internal: true }, undefined],
    ["a hint", { ...query(3), internal: true }, undefined],
    ["a ping that is to be answered later", { ...query(4), internal: true }, "dht_request"],
    ["find a peer", query(2), undefined],
    ["look up", query(3), undefined],
    ["announce", query(4), undefined],
    ["unannounce", query(5), undefined],
    ["a hole punched", query(1), "dht_request"],
    ["to keep something", query(6), "dht_request"],
    ["what is kept", query(7), "dht_request"],
    ["to keep something for good", query(8), "dht_request"],
    ["a plugin", query(10), "dht_request"],
    ["what there is none of", query(77), "dht_request"],
    ["no handshake", query(0), "dht_request"],
    ["a handshake", handshake(randomBytes(105)), undefined],
    ["a long one", handshake(randomBytes(300)), undefined],
    ["an empty one", handshake(Buffer.alloc(0)), "dht_request"],
    ["one to be passed on", handshake(randomBytes(105), "a", 2), "dht_request"],
    ["one that was passed on", handshake(randomBytes(105), "a", 1, 1), "dht_request"],
    ["one in another's name", handshake(randomBytes(105), "a", 1), "dht_request"],
  ] as const) {
    assert.is(gate.judge(request, 0), refusal, what);
  }
  const long = handshake(randomBytes(100));
  assert.is(
    gate.judge({ ...long, value: Buffer.concat([long.value, Buffer.alloc(1)]) }, 0),
    "dht_request",
  );
});

test("what is sent again as the answer was late counts once; later it is a replay", () => {
  const gate = new DhtGate({
    ...ADMISSION_LIMITS,
    handshakes: { each: { burst: 1, perSecond: 0 }, all: { burst: 10, perSecond: 0 } },
  });
  const first = handshake(randomBytes(105));
  for (const now of [0, 1_000, 2_000, 3_000]) assert.is(gate.judge(first, now), undefined);
  assert.is(gate.judge(handshake(randomBytes(105)), 3_000), "handshake_rate");
  assert.is(gate.judge(first, REPEATED_MS), "replayed");
  assert.is(gate.judge({ ...first, from: from("elsewhere") }, 60_000), "replayed");
});

test("a flood of strangers takes bounded memory, and leaves others their share", () => {
  const gate = new DhtGate(ADMISSION_LIMITS);
  let answered = 0;
  for (let count = 0; count < 20_000; count++) {
    if (gate.judge(handshake(randomBytes(32), "hostile"), 0) === undefined) answered++;
  }
  assert.is(answered, ADMISSION_LIMITS.handshakes.each.burst);
  assert.is(gate.judge(handshake(randomBytes(32), "honest"), 0), undefined);
  for (let count = 0; count < 60_000; count++) {
    gate.judge(handshake(randomBytes(32), `spoofed ${count}`), count);
  }
  assert.ok(gate.size <= 16_384 + 3 * 10_000, `${gate.size}`);
});

test("2,000 hosts behind one address come back at the same moment, and none gives up", () => {
  const gate = new DhtGate(ADMISSION_LIMITS);
  const missing = new Set(Array.from({ length: 2_000 }, () => handshake(randomBytes(105), "nat")));
  // A handshake is sent four times, a second apart, before its dial has failed.
  for (const now of [0, 1_000, 2_000, 3_000]) {
    for (const request of missing) {
      // What else a host asks at its start: to look up and announce, twice of everything.
      for (const command of [3, 4, 3, 4]) gate.judge(query(command, "nat"), now);
      if (gate.judge(request, now) === undefined) missing.delete(request);
    }
  }
  assert.is(missing.size, 0);
});

test.run();
