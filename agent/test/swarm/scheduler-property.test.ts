import { ChunkRefusal_Reason as Reason } from "@slipway/proto";
import * as fc from "fast-check";
import { test } from "uvu";
import * as assert from "uvu/assert";
import { Bitfield } from "../../src/store/bitfield.js";
import type { Ask, Withdraw } from "../../src/swarm/asking.js";
import { LIMITS } from "../../src/swarm/request-limits.js";
import { Scheduler } from "../../src/swarm/scheduler.js";

const D = "artifact";
const PEERS = ["p0", "p1", "p2", "p3"];

/** What happens to a download, with numbers that say to what. */
const event = fc.record({
  kind: fc.constantFrom(
    "join",
    "leave",
    "have",
    "begin",
    "arrive",
    "spoil",
    "busy",
    "refuse",
    "drop",
    "wait",
  ),
  peer: fc.constantFrom(...PEERS),
  pick: fc.nat(1_000_000),
});
type Event = typeof event extends fc.Arbitrary<infer T> ? T : never;

/** A swarm around one scheduler that keeps its own account of every chunk. */
class World {
  readonly scheduler: Scheduler;
  readonly sizes: number[];
  readonly stored = new Set<number>();
  open: Ask[] = [];
  now = 0;

  constructor(sizes: number[], seed: number, seeder: boolean) {
    let state = seed;
    const random = (): number => {
      state = (Math.imul(state, 1_664_525) + 1_013_904_223) >>> 0;
      return state / 2 ** 32;
    };
    this.sizes = sizes;
    this.scheduler = new Scheduler({ random });
    const sizeBytes = sizes.reduce((sum, size) => sum + size, 0);
    const sizeOf = (chunk: number): number => sizes[chunk] ?? 0;
    const chunkCount = sizes.length;
    this.scheduler.addDownload(D, { chunkCount, sizeBytes, sizeOf }, new Bitfield(chunkCount));
    this.scheduler.addPeer("sure", seeder);
    this.scheduler.setHolding("sure", D, "all");
  }

  run(events: readonly Event[]): void {
    for (const happening of events) {
      this.happen(happening);
      this.step();
    }
  }

  /** Only good things, until it is done. */
  finish(): void {
    for (let turn = 0; !this.scheduler.isDone(D); turn++) {
      assert.ok(turn < 5_000, "it does not end");
      this.now += 50;
      this.step();
      const open = this.open;
      for (const ask of open) this.arrive(ask, turn, false);
    }
    assert.is(this.stored.size, this.sizes.length);
  }

  step(): void {
    this.forget(this.scheduler.expire(this.now));
    const asks = this.scheduler.next(this.now);
    for (const { request } of asks) assert.not(this.stored.has(Number(request.chunk)));
    this.open.push(...asks);
    const owed = this.open.reduce((sum, { request }) => sum + request.size, 0);
    assert.ok(owed <= LIMITS.budgetBytes + Math.max(...this.sizes), "more than the budget");
    for (const id of [...PEERS, "sure"]) {
      const own = this.open.filter(({ peer }) => peer === id);
      const bytes = own.reduce((sum, { request }) => sum + request.size, 0);
      assert.ok(bytes <= LIMITS.windowMaxBytes + 2 * Math.max(...this.sizes), "beyond the window");
    }
  }

  happen({ kind, peer, pick }: Event): void {
    const { scheduler } = this;
    const ask = this.open[pick % Math.max(1, this.open.length)];
    this.now += pick % 97;
    if (kind === "join") {
      scheduler.addPeer(peer, false);
      scheduler.setHolding(peer, D, new Bitfield(this.sizes.length));
      this.open = this.open.filter((other) => other.peer !== peer);
    } else if (kind === "leave" || kind === "drop") {
      if (kind === "leave") scheduler.removePeer(peer);
      else scheduler.dropRequests(peer);
      this.open = this.open.filter((other) => other.peer !== peer);
    } else if (kind === "have") scheduler.addHave(peer, D, [pick % this.sizes.length]);
    else if (kind === "wait") this.now += pick % 20_000;
    else if (ask === undefined) return;
    else if (kind === "begin") this.begin(ask, pick);
    else if (kind === "arrive" || kind === "spoil") this.arrive(ask, pick, kind === "spoil");
    else this.refuse(ask, kind === "busy");
  }

  refuse(ask: Ask, busy: boolean): void {
    const no = ask.request.chunk === "any" ? Reason.NOTHING_NEW : Reason.NOT_HELD;
    // That one has everything.
    const reason = busy || (ask.peer === "sure" && no === Reason.NOT_HELD) ? Reason.BUSY : no;
    this.scheduler.refused(ask.peer, ask.request.id, reason, this.now);
    this.open = this.open.filter((other) => other !== ask);
  }

  /** Whether its bytes are still wanted. */
  begin(ask: Ask, pick: number): boolean {
    const { peer, request } = ask;
    const chunk = request.chunk === "any" ? pick % this.sizes.length : request.chunk;
    const size = this.scheduler.begins(peer, request.id, chunk, this.now);
    assert.ok(size === "old" || size === this.sizes[chunk]);
    if (size === "old") this.open = this.open.filter((other) => other !== ask);
    return size !== "old";
  }

  arrive(ask: Ask, pick: number, spoilt: boolean): void {
    if (!this.begin(ask, pick)) return;
    this.open = this.open.filter((other) => other !== ask);
    const arrived = this.scheduler.arrived(ask.peer, ask.request.id, this.now);
    if (arrived === undefined) return;
    this.forget(arrived.withdraw);
    if (spoilt) this.scheduler.spoiled(arrived.request);
    else {
      assert.not(this.stored.has(arrived.request.chunk), "a chunk came twice");
      this.stored.add(arrived.request.chunk);
      this.scheduler.stored(arrived.request);
    }
  }

  forget(withdrawn: readonly Withdraw[]): void {
    this.open = this.open.filter(
      ({ peer, request }) =>
        !withdrawn.some((other) => other.peer === peer && other.requestId === request.id),
    );
  }
}

test("whatever happens, no chunk is lost or comes twice, bounds hold, and it ends", () => {
  fc.assert(
    fc.property(
      fc.array(fc.integer({ min: 1, max: 2 * 1024 * 1024 }), { minLength: 1, maxLength: 80 }),
      fc.array(event, { maxLength: 300 }),
      fc.nat(),
      fc.boolean(),
      (sizes, events, seed, seeder) => {
        const world = new World(sizes, seed, seeder);
        world.run(events);
        world.finish();
      },
    ),
    { numRuns: 200 },
  );
});

test.run();
