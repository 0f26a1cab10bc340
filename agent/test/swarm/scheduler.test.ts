import { ChunkRefusal_Reason as Reason } from "@slipway/proto";
import { test } from "uvu";
import * as assert from "uvu/assert";
import { Bitfield } from "../../src/store/bitfield.js";
import type { ChunkSizes } from "../../src/swarm/download.js";
import { LIMITS } from "../../src/swarm/request-limits.js";
import type { Ask } from "../../src/swarm/asking.js";
import { Scheduler } from "../../src/swarm/scheduler.js";

const MiB = 1024 * 1024;
const D = "artifact";

const sized = (chunks: number, bytes = MiB): ChunkSizes => ({
  chunkCount: chunks,
  sizeBytes: chunks * bytes,
  sizeOf: () => bytes,
});

/** A number generator that starts at a seed, so that a failure can be repeated. */
function seeded(seed: number): () => number {
  let state = seed;
  return () => {
    state = (Math.imul(state, 1_664_525) + 1_013_904_223) >>> 0;
    return state / 2 ** 32;
  };
}

function bits(size: number, set: readonly number[]): Bitfield {
  const field = new Bitfield(size);
  for (const index of set) field.set(index);
  return field;
}

function setUp(
  chunks: number,
  peers: Record<string, readonly number[] | "seeder" | "all">,
  bytes = MiB,
) {
  const scheduler = new Scheduler({ random: seeded(1) });
  scheduler.addDownload(D, sized(chunks, bytes), new Bitfield(chunks));
  for (const [id, holds] of Object.entries(peers)) {
    scheduler.addPeer(id, holds === "seeder");
    const holding = typeof holds === "string" ? "all" : bits(chunks, holds);
    scheduler.setHolding(id, D, holding);
  }
  return scheduler;
}

const chunksOf = (asks: readonly Ask[], peer?: string) =>
  asks.filter((ask) => peer === undefined || ask.peer === peer).map((ask) => ask.request.chunk);

/** Lets a chunk arrive and be stored. */
function deliver(scheduler: Scheduler, ask: Ask, now: number) {
  scheduler.progress(ask.peer, ask.request.size, now);
  const arrived = scheduler.arrived(ask.peer, ask.request.id, now);
  if (arrived !== undefined) scheduler.stored(arrived.request);
  return arrived;
}

/** Lets a neighbour send a chunk of something else, within 10 ms. */
function prove(scheduler: Scheduler, id: string) {
  scheduler.addDownload("proof", sized(1), new Bitfield(1), { priority: "urgent" });
  scheduler.setHolding(id, "proof", "all");
  for (const ask of scheduler.next(0)) {
    if (ask.request.artifact === "proof") deliver(scheduler, ask, 10);
    else scheduler.refused(ask.peer, ask.request.id, Reason.BUSY, -LIMITS.busyMs);
  }
  scheduler.removeDownload("proof");
}

test("asks for each chunk once, of somebody who has it, and knows when it is done", () => {
  const scheduler = setUp(6, { a: [0, 1, 2], b: [2, 3, 4, 5] });
  const got = new Set<unknown>();
  for (let now = 0; !scheduler.isDone(D); now += 10) {
    const asks = scheduler.next(now);
    assert.ok(asks.length > 0);
    for (const ask of asks) {
      assert.not(got.has(ask.request.chunk));
      got.add(ask.request.chunk);
      assert.ok(ask.peer === "a" ? Number(ask.request.chunk) <= 2 : Number(ask.request.chunk) >= 2);
      deliver(scheduler, ask, now + 5);
    }
  }
  assert.is(got.size, 6);
});

test("the rarest chunks first", () => {
  const all = [0, 1, 2, 3, 4, 5, 6, 7];
  const scheduler = setUp(8, { a: all, b: all.slice(2), c: all.slice(2), d: all.slice(2) });
  const asked = chunksOf(scheduler.next(0), "a");
  assert.is(asked.length, 1);
  assert.ok(Number(asked[0]) < 2);
});

test("a window bounds what is asked of one, a budget what is asked of all", () => {
  const scheduler = setUp(1_000, { a: "all" });
  assert.is(scheduler.next(0).length, 1, "one chunk until its speed is known");
  const many = setUp(
    100,
    Object.fromEntries(Array.from({ length: 40 }, (_, i) => [`p${i}`, "all" as const])),
    8 * MiB,
  );
  const asked = many.next(0).reduce((sum, ask) => sum + ask.request.size, 0);
  assert.is(asked, LIMITS.budgetBytes);
  assert.equal(many.next(1), []);
});

test("a fast neighbour gets a larger window, a slow one does not", () => {
  const scheduler = setUp(1_000, { fast: "all", slow: "all" });
  let now = 0;
  for (let round = 0; round < 20; round++) {
    const asks = scheduler.next(now);
    now += 10;
    for (const ask of asks) if (ask.peer === "fast" || round === 19) deliver(scheduler, ask, now);
  }
  const asks = scheduler.next(now + 1);
  assert.ok(chunksOf(asks, "fast").length > 8);
  assert.ok(chunksOf(asks, "slow").length <= 2);
});

test("one who stalls is given up, and left alone while somebody else can help", () => {
  const scheduler = setUp(2, { staller: "all" });
  prove(scheduler, "staller");
  const first = scheduler.next(0);
  assert.is(first.length, 2);
  assert.equal(scheduler.expire(LIMITS.stallMs - 1), []);
  const withdrawn = scheduler.expire(LIMITS.stallMs);
  assert.equal(
    withdrawn.map(({ requestId }) => requestId),
    first.map(({ request }) => request.id),
  );
  assert.is(scheduler.counters.timeouts, 2);
  assert.is(scheduler.next(LIMITS.stallMs + 1).length, 1, "nobody else: one chunk, to see");
  scheduler.addPeer("other", false);
  scheduler.setHolding("other", D, "all");
  const again = scheduler.next(LIMITS.stallMs + 2);
  assert.equal(
    again.map(({ peer }) => peer),
    ["other"],
  );
});

test("bytes that trickle in keep a request alive only until its deadline", () => {
  const scheduler = setUp(1, { a: "all" });
  const [ask] = scheduler.next(0);
  assert.ok(ask);
  for (let now = 0; now < ask.request.deadline; now += 1_000) {
    scheduler.progress("a", 1, now);
    assert.equal(scheduler.expire(now), []);
  }
  scheduler.progress("a", 1, ask.request.deadline);
  assert.is(scheduler.expire(ask.request.deadline).length, 1);
});

test("what keeps coming is not given up, however long it takes", () => {
  const scheduler = setUp(1, { a: "all" });
  const [ask] = scheduler.next(0);
  assert.ok(ask);
  assert.is(scheduler.begins("a", ask.request.id, 0, 1_000), MiB);
  let now = 1_000;
  for (let came = 0; came < MiB - 4_096; came += 4_096) {
    scheduler.progress("a", 4_096, (now += 3_000));
    assert.equal(scheduler.expire(now), []);
  }
  assert.ok(now > 10 * 60_000);
  assert.ok(deliver(scheduler, ask, now));
  assert.ok(scheduler.isDone(D));
});

test("what was given up, and comes in spite of that, is kept if it is lacked", () => {
  const cases = [
    { begun: false, other: false, kept: true },
    { begun: true, other: false, kept: true },
    { begun: false, other: true, kept: false },
    { begun: true, other: true, kept: false },
  ];
  for (const { begun, other, kept } of cases) {
    const scheduler = setUp(1, { a: "all" });
    const [ask] = scheduler.next(0);
    assert.ok(ask);
    const { id } = ask.request;
    if (begun) scheduler.begins("a", id, 0, 10);
    assert.is(scheduler.expire(10 + LIMITS.stallMs).length, 1);
    scheduler.addPeer("b", false);
    scheduler.setHolding("b", D, "all");
    const [again] = scheduler.next(11 + LIMITS.stallMs);
    assert.is(again?.peer, "b");
    if (other && again !== undefined) deliver(scheduler, again, 6_000);
    if (!begun) assert.is(scheduler.begins("a", id, 0, 6_001), kept ? MiB : "old");
    const arrived = deliver(scheduler, ask, 6_002);
    assert.is(arrived !== undefined, kept);
    assert.is(scheduler.arrived("a", id, 6_003), undefined, "once only");
    assert.ok(scheduler.isDone(D));
  }
});

test("a slow link of its own makes nobody late, and has few chunks under way", () => {
  for (const chunk of [MiB / 4, 2 * MiB]) {
    for (const bytesPerMs of [12.5, 60, 600]) {
      const peers = Object.fromEntries(
        Array.from({ length: 10 }, (_, i) => [`p${i}`, "all" as const]),
      );
      const scheduler = setUp(24, peers, chunk);
      let now = 0;
      let open: { ask: Ask; left: number }[] = [];
      for (let turn = 0; !scheduler.isDone(D); turn++) {
        const asks = scheduler.next(now);
        for (const ask of asks) {
          open.push({ ask, left: chunk });
          scheduler.begins(ask.peer, ask.request.id, Number(ask.request.chunk), now);
        }
        const carried = Math.ceil((bytesPerMs * LIMITS.carryMs) / chunk) + 1;
        const most = Math.max(LIMITS.carryMinChunks, carried);
        const first = turn === 0 || asks.length === 0;
        assert.ok(first || open.length <= most, `${open.length} chunks at once`);
        // Packets of all who send take turns.
        const flow = open[turn % open.length];
        assert.ok(flow);
        const bytes = Math.min(flow.left, 8_192);
        now += bytes / bytesPerMs;
        flow.left -= bytes;
        assert.equal(scheduler.expire(now), []);
        if (flow.left > 0) scheduler.progress(flow.ask.peer, bytes, now);
        else {
          open = open.filter((other) => other !== flow);
          const arrived = scheduler.arrived(flow.ask.peer, flow.ask.request.id, now);
          assert.ok(arrived);
          scheduler.stored(arrived.request);
        }
      }
      assert.is(scheduler.counters.hedges, 0);
      assert.is(Math.round((24 * chunk) / now / bytesPerMs), 1);
    }
  }
});

/** One neighbour that has everything and sends nothing, and so many others. */
function withMute(others: number, chunks: number, bytes: number): Scheduler {
  const ids = ["mute", ...Array.from({ length: others }, (_, index) => `p${index}`)];
  return setUp(chunks, Object.fromEntries(ids.map((id) => [id, "all" as const])), bytes);
}

test("who is mute is given up after 5 s, however few others send", () => {
  for (const others of [1, 2, 3]) {
    const scheduler = withMute(others, 2_000, MiB);
    let mute: Ask | undefined;
    let givenUpAt: number | undefined;
    for (let now = 0; givenUpAt === undefined && !scheduler.isDone(D); now += 100) {
      if (scheduler.expire(now).some(({ peer }) => peer === "mute")) givenUpAt = now;
      for (const ask of scheduler.next(now)) {
        if (ask.peer === "mute") mute ??= ask;
        else deliver(scheduler, ask, now + 50);
      }
    }
    assert.ok(mute);
    assert.is(givenUpAt, mute.request.askedAt + LIMITS.stallMs);
  }
});

test("who is mute holds up a slow fetch for 5 s at most", () => {
  const [chunks, chunkBytes, bytes, bytesPerMs] = [8, MiB / 4, 8_192, 64];
  for (const others of [1, 2, 3]) {
    const scheduler = withMute(others, chunks, chunkBytes);
    const sent = new Map<Ask, number>();
    let now = 0;
    let idleMs = 0;
    for (let turn = 0; !scheduler.isDone(D); turn++) {
      for (const ask of scheduler.next(now)) {
        if (ask.peer === "mute") continue;
        sent.set(ask, 0);
        scheduler.begins(ask.peer, ask.request.id, Number(ask.request.chunk), now);
      }
      now += bytes / bytesPerMs;
      scheduler.expire(now);
      const ask = [...sent.keys()][turn % Math.max(1, sent.size)];
      if (ask === undefined) {
        assert.ok((idleMs += bytes / bytesPerMs) <= LIMITS.stallMs, `${others} others`);
        continue;
      }
      sent.set(ask, (sent.get(ask) ?? 0) + bytes);
      if (sent.get(ask) !== chunkBytes) scheduler.progress(ask.peer, bytes, now);
      else if (sent.delete(ask)) deliver(scheduler, ask, now);
    }
  }
});

test("refusals: busy is asked again later, not held is not asked again", () => {
  const scheduler = setUp(1, { a: "all" });
  const [first] = scheduler.next(0);
  assert.ok(first);
  scheduler.refused("a", first.request.id, Reason.BUSY, 0);
  assert.equal(scheduler.next(1), []);
  const [second] = scheduler.next(LIMITS.busyMs);
  assert.ok(second);
  scheduler.refused("a", second.request.id, Reason.NOT_HELD, 600);
  assert.equal(scheduler.next(60_000), []);
  scheduler.addHave("a", D, [0]);
  assert.is(scheduler.next(60_001).length, 1);
});

test("who had nothing that was wanted is asked when it has", () => {
  const scheduler = setUp(3, { a: [0] });
  prove(scheduler, "a");
  const [ask, ...more] = scheduler.next(0);
  assert.ok(ask !== undefined && more.length === 0);
  assert.equal(scheduler.next(1), []);
  scheduler.addHave("a", D, [1]);
  assert.equal(chunksOf(scheduler.next(2)), [1]);
  assert.equal(scheduler.next(3), []);
  scheduler.refused("a", ask.request.id, Reason.BUSY, 4);
  assert.equal(chunksOf(scheduler.next(4 + LIMITS.busyMs)), [0]);
});

test("a busy neighbour's chunk is asked of another at once", () => {
  const scheduler = setUp(1, { a: "all", b: "all" });
  const [ask] = scheduler.next(0);
  assert.ok(ask);
  scheduler.refused(ask.peer, ask.request.id, Reason.BUSY, 1);
  const [again] = scheduler.next(1);
  assert.ok(again && again.peer !== ask.peer);
});

test("a request for any chunk may wait for its turn", () => {
  const scheduler = new Scheduler();
  scheduler.addDownload(D, sized(4), new Bitfield(4));
  scheduler.addPeer("seeder", true);
  scheduler.setHolding("seeder", D, "all");
  const [ask] = scheduler.next(0);
  assert.ok(ask);
  assert.equal(scheduler.expire(LIMITS.anyDeadlineMs - 1), []);
  assert.is(scheduler.begins("seeder", ask.request.id, 3, 50_000), MiB);
  assert.equal(scheduler.expire(50_000 + LIMITS.stallMs - 1), []);
  assert.ok(scheduler.expire(50_000 + LIMITS.deadlineMs).length > 0, "but not in the middle");
});

test("who is much slower than others gives only what nobody else has", () => {
  const scheduler = setUp(40, { slow: "all", fast: "all", faster: "all" });
  for (let now = 0, sent = 0; sent < 12; now += 50) {
    for (const ask of scheduler.next(now)) {
      deliver(scheduler, ask, ask.peer === "slow" ? now + 2_000 : now + 10);
      sent++;
    }
  }
  const asks = scheduler.next(5_000);
  assert.ok(asks.length > 0);
  assert.equal(chunksOf(asks, "slow"), []);
});

test("who leaves owes nothing more", () => {
  const scheduler = setUp(2, { a: "all", b: "all" });
  assert.equal(
    scheduler
      .next(0)
      .map(({ peer }) => peer)
      .sort(),
    ["a", "b"],
  );
  assert.equal(scheduler.next(1), []);
  scheduler.removePeer("a");
  assert.equal(scheduler.next(2), [], "b owes one already");
  scheduler.addPeer("c", false);
  scheduler.setHolding("c", D, "all");
  assert.is(scheduler.next(3).length, 1);
});

test("at the end the last chunks are asked of a second neighbour, and the first answer counts", () => {
  const scheduler = setUp(1, { slow: "all" });
  const [first] = scheduler.next(0);
  assert.ok(first);
  scheduler.addPeer("other", false);
  scheduler.setHolding("other", D, "all");
  assert.equal(scheduler.next(100), [], "not at once");
  const [second] = scheduler.next(2_100);
  assert.is(second?.peer, "other");
  assert.is(scheduler.counters.hedges, 1);
  assert.equal(scheduler.next(9_000), [], "but not of a third");
  const arrived = second && deliver(scheduler, second, 9_100);
  assert.equal(arrived?.withdraw, [{ peer: "slow", requestId: first.request.id }]);
  assert.ok(scheduler.isDone(D));
  assert.is(scheduler.lookUp("slow", first.request.id), "old");
  assert.is(scheduler.arrived("slow", first.request.id, 9_200), undefined);
  assert.is(scheduler.lookUp("slow", 99), undefined);
});

test("a third is asked when the second is late too, a fourth never", () => {
  const scheduler = setUp(1, { a: "all", b: "all", c: "all", d: "all" });
  const asked: string[] = [];
  for (let now = 0; now < LIMITS.stallMs; now += 100) {
    for (const { peer } of scheduler.next(now)) asked.push(peer);
    for (const peer of asked) scheduler.progress(peer, 1, now);
  }
  assert.is(asked.length, 3);
  assert.is(new Set(asked).size, 3);
  assert.is(scheduler.counters.hedges, 2);
});

test("who is late itself is asked for no late chunk that somebody better has", () => {
  const scheduler = setUp(2, { a: "all", b: "all" });
  assert.is(scheduler.next(0).length, 2, "each owes one");
  scheduler.addPeer("c", false);
  scheduler.setHolding("c", D, "all");
  const late = LIMITS.unknownMs * LIMITS.lateFactor;
  const [ask, ...more] = scheduler.next(late);
  assert.ok(ask?.peer === "c" && more.length === 0);
  scheduler.refused("c", ask.request.id, Reason.BUSY, late);
  assert.equal(scheduler.next(late), []);
  const [again] = scheduler.next(late + LIMITS.busyMs);
  assert.is(again?.peer, "c");
});

test("how late who never sent anything may be depends on what others deliver", () => {
  for (const [othersMs, lateMs] of [
    [10, LIMITS.lateMinMs],
    [1_000, 2_000],
  ] as const) {
    const scheduler = setUp(40, { fast: "all", odd: "all" });
    for (const ask of scheduler.next(0)) {
      if (ask.peer === "fast") deliver(scheduler, ask, othersMs);
      else scheduler.refused(ask.peer, ask.request.id, Reason.BUSY, 0);
    }
    const now = Math.max(othersMs, LIMITS.busyMs);
    const ask = scheduler.next(now).find(({ peer }) => peer === "odd");
    assert.ok(ask);
    assert.is(Math.round(ask.request.lateAt - now), lateMs);
  }
});

test("what somebody is late with does not keep others from being asked", () => {
  const scheduler = setUp(40, { odd: "all" }, MiB / 4);
  assert.is(scheduler.next(0).length, 1, "one chunk, to see");
  scheduler.addPeer("good", false);
  scheduler.setHolding("good", D, "all");
  let now = 1;
  const turn = () => {
    const asks = scheduler.next((now += 50));
    for (const ask of asks) if (ask.peer === "good") deliver(scheduler, ask, now + 40);
    return asks;
  };
  assert.is(turn().length, 1);
  assert.is(turn().length, LIMITS.aheadMinChunks - 1, "it owes one of those");
  while (now < LIMITS.unknownMs * LIMITS.lateFactor) scheduler.progress("odd", 1, (now += 50));
  const [first, ...more] = scheduler.next(now);
  assert.is(first?.peer, "good");
  assert.is(more.length, LIMITS.aheadMinChunks - 1);
  assert.ok(
    more.every(({ peer }) => peer === "good"),
    "who is late is asked for nothing more",
  );
});

test("wrong bytes make a chunk wanted again", () => {
  const scheduler = setUp(1, { liar: "all", b: "all" });
  const [ask] = scheduler.next(0);
  assert.ok(ask);
  const arrived = scheduler.arrived(ask.peer, ask.request.id, 5);
  assert.ok(arrived);
  assert.not(scheduler.isDone(D));
  scheduler.spoiled(arrived.request);
  scheduler.removePeer(ask.peer);
  const [again] = scheduler.next(6);
  assert.ok(again && again.peer !== ask.peer);
  deliver(scheduler, again, 9);
  assert.ok(scheduler.isDone(D));
});

test("removing a download takes back what was asked for it, and nothing else", () => {
  const scheduler = setUp(1, { a: "all" });
  prove(scheduler, "a");
  const [ask] = scheduler.next(0);
  scheduler.addDownload("other", sized(1), new Bitfield(1));
  scheduler.setHolding("a", "other", "all");
  const [kept] = scheduler.next(1);
  assert.equal(scheduler.removeDownload(D), [{ peer: "a", requestId: ask?.request.id }]);
  assert.ok(scheduler.active);
  assert.type(scheduler.lookUp("a", kept?.request.id ?? 0), "object");
  assert.equal(scheduler.removeDownload(D), []);
});

test("any chunk is asked of a seeder, which binds it; then by number", () => {
  const scheduler = new Scheduler({ random: seeded(1) });
  scheduler.addDownload(D, sized(3), new Bitfield(3));
  scheduler.addPeer("seeder", true);
  scheduler.setHolding("seeder", D, "all");
  const [first, ...none] = scheduler.next(0);
  assert.ok(first !== undefined && none.length === 0, "one until its speed is known");
  assert.is(first.request.chunk, "any");
  assert.is(scheduler.arrived("seeder", first.request.id, 1), undefined, "bytes before a header");
  assert.is(scheduler.begins("seeder", first.request.id, 3, 1), undefined, "no such chunk");
  assert.is(scheduler.begins("seeder", first.request.id, 2, 1), MiB);
  assert.is(scheduler.begins("seeder", 77, 2, 1), undefined, "never asked");
  assert.is(deliver(scheduler, first, 2)?.request.chunk, 2);
  const [second] = scheduler.next(2);
  assert.ok(second);
  assert.is(scheduler.begins("seeder", second.request.id, 2, 1), "old", "it is here already");
  assert.is(scheduler.counters.duplicateBytes, MiB);
  for (const { peer, request } of scheduler.next(3)) {
    scheduler.refused(peer, request.id, Reason.NOTHING_NEW, 3);
  }
  assert.equal(scheduler.next(4), [], "peers may come by it");
  const patient = scheduler.wakeAt(4) ?? Infinity;
  assert.ok(patient <= 4 + LIMITS.patienceMs);
  assert.equal(new Set(chunksOf(scheduler.next(patient))), new Set([0, 1]));
});

test("what is looked for on this host is asked for only when it is not there", () => {
  const scheduler = new Scheduler({ random: seeded(1) });
  scheduler.addDownload(D, sized(3), new Bitfield(3), { except: new Set([0, 1]) });
  scheduler.addPeer("a", false);
  scheduler.setHolding("a", D, "all");
  for (const ask of scheduler.next(0)) {
    assert.is(ask.request.chunk, 2);
    deliver(scheduler, ask, 1);
  }
  assert.equal(scheduler.next(2), []);
  scheduler.found(D, 0);
  assert.not(scheduler.isDone(D));
  scheduler.want(D, 1);
  assert.equal(chunksOf(scheduler.next(3)), [1]);
  scheduler.found(D, 1);
  assert.ok(scheduler.isDone(D));
  assert.is(scheduler.expire(4).length, 1, "what was asked for is taken back");
});

test("higher priorities are asked for first", () => {
  const scheduler = setUp(4, { a: "all" });
  scheduler.addDownload("other", sized(4), new Bitfield(4), { priority: "urgent" });
  scheduler.setHolding("a", "other", "all");
  const first = scheduler.next(0);
  assert.ok(first.every(({ request }) => request.artifact === "other"));
  scheduler.setPriority("other", "background");
  for (const ask of first) deliver(scheduler, ask, 1);
  assert.equal(
    scheduler.next(2).map(({ request }) => request.artifact),
    [D, D, D, D],
  );
});

test("the cap on what is asked for holds within 5 % over ten seconds", () => {
  const cap = 8 * MiB;
  const scheduler = new Scheduler({ random: seeded(1), downBytesPerSecond: cap });
  scheduler.addDownload(D, sized(1_000), new Bitfield(1_000));
  scheduler.addPeer("a", false);
  scheduler.setHolding("a", D, "all");
  let bytes = 0;
  for (let now = 0; now < 10_000; now += 10) {
    for (const ask of scheduler.next(now)) {
      bytes += ask.request.size;
      deliver(scheduler, ask, now + 1);
    }
  }
  assert.ok(Math.abs(bytes / (cap * 10) - 1) < 0.05, `${bytes / 10} bytes a second`);
});

test("who has nothing of what it says costs little", () => {
  const chunks = 20_000;
  const scheduler = setUp(chunks, { liar: "all" });
  const since = performance.now();
  let refused = 0;
  for (let asks = scheduler.next(0); asks.length > 0; asks = scheduler.next(0)) {
    for (const { peer, request } of asks) {
      scheduler.refused(peer, request.id, Reason.NOT_HELD, 0);
      refused++;
    }
  }
  assert.is(refused, chunks);
  assert.ok(performance.now() - since < 2_000);
});

test("holdings that don't fit are refused", () => {
  const scheduler = setUp(3, { a: "all" });
  assert.throws(() => scheduler.setHolding("a", D, new Bitfield(4)), /3 chunks/);
  scheduler.setHolding("a", D, bits(3, [0]));
  assert.throws(() => scheduler.addHave("a", D, [3]), /no bit/);
});

test("whatever happens, every chunk comes in the end and nothing is owed for ever", () => {
  for (let seed = 1; seed <= 30; seed++) {
    const random = seeded(seed);
    const scheduler = new Scheduler({ random });
    const chunks = 1 + Math.floor(random() * 60);
    scheduler.addDownload(
      D,
      sized(chunks, 1 + Math.floor(random() * 3 * MiB)),
      new Bitfield(chunks),
    );
    scheduler.addPeer("seeder", true);
    scheduler.setHolding("seeder", D, "all");
    let open: Ask[] = [];
    let now = 0;
    for (; !scheduler.isDone(D) && now < 3_600_000; now += 50 + random() * 100) {
      const id = `p${Math.floor(random() * 5)}`;
      if (random() < 0.1) {
        scheduler.addPeer(id, false);
        open = open.filter((ask) => ask.peer !== id);
        scheduler.setHolding(id, D, bits(chunks, [Math.floor(random() * chunks)]));
      } else if (random() < 0.05) {
        scheduler.removePeer(id);
        open = open.filter((ask) => ask.peer !== id);
      }
      open.push(...scheduler.next(now));
      const late = scheduler.expire(now);
      open = open.filter(
        (ask) => !late.some((l) => l.peer === ask.peer && l.requestId === ask.request.id),
      );
      open = open.filter((ask) => {
        const fate = random();
        if (fate < 0.3) {
          const arrived = scheduler.arrived(ask.peer, ask.request.id, now);
          if (arrived !== undefined && random() < 0.1) scheduler.spoiled(arrived.request);
          else if (arrived !== undefined) scheduler.stored(arrived.request);
        } else if (fate < 0.4) scheduler.refused(ask.peer, ask.request.id, Reason.BUSY, now);
        else return true;
        return false;
      });
    }
    assert.ok(scheduler.isDone(D), `seed ${seed} is stuck after ${now} ms`);
  }
});

test.run();
