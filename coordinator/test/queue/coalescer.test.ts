import { EventEmitter, once } from "node:events";
import { test } from "uvu";
import * as assert from "uvu/assert";
import { Coalescer } from "../../src/queue/coalescer.js";

test("calls that wait together are one batch, one at a time, in order", async () => {
  const batches: number[][] = [];
  let inFlight = 0;
  const coalescer = new Coalescer<number, number>({
    maxBatch: 3,
    run: async (items) => {
      inFlight += 1;
      assert.is(inFlight, 1);
      batches.push([...items]);
      await new Promise((resolve) => setImmediate(resolve));
      inFlight -= 1;
      return items.map((item) => item * 10);
    },
  });
  const results = await Promise.all([1, 2, 3, 4].map((item) => coalescer.submit(item)));
  assert.equal(results, [10, 20, 30, 40]);
  assert.equal(batches, [[1, 2, 3], [4]]);
  assert.is(await coalescer.submit(5), 50);
});

test("an error of one item rejects it alone; a failed batch rejects all and work goes on", async () => {
  let fail = true;
  const coalescer = new Coalescer<string, string>({
    run: (items) => {
      if (fail) return Promise.reject(new Error("no database"));
      return Promise.resolve(items.map((item) => (item === "bad" ? new Error("bad item") : item)));
    },
  });
  const states = async (items: string[]): Promise<string[]> =>
    (await Promise.allSettled(items.map((item) => coalescer.submit(item)))).map(
      ({ status }) => status,
    );
  assert.equal(await states(["a", "b"]), ["rejected", "rejected"]);
  fail = false;
  assert.equal(await states(["a", "bad", "b"]), ["fulfilled", "rejected", "fulfilled"]);
});

test("a deadlock is tried again, a few times", async () => {
  let runs = 0;
  const deadlock = Object.assign(new Error("deadlock detected"), { code: "40P01" });
  const lucky = new Coalescer<number, number>({
    run: (items) => (++runs < 3 ? Promise.reject(deadlock) : Promise.resolve(items)),
  });
  assert.is(await lucky.submit(1), 1);
  runs = 0;
  const unlucky = new Coalescer<number, number>({
    run: () => {
      runs += 1;
      return Promise.reject(deadlock);
    },
  });
  try {
    await unlucky.submit(1);
    assert.unreachable();
  } catch (error) {
    assert.is(error, deadlock);
  }
  assert.is(runs, 4);
});

test("more than may wait is refused", async () => {
  const opening = new EventEmitter();
  const gate = once(opening, "open");
  const coalescer = new Coalescer<number, number>({
    maxWaiting: 2,
    run: async (items) => {
      await gate;
      return items;
    },
  });
  const kept = [coalescer.submit(1), coalescer.submit(2)];
  const refused = await Promise.allSettled([coalescer.submit(3)]);
  assert.is(refused[0]?.status, "rejected");
  opening.emit("open");
  assert.equal(await Promise.all(kept), [1, 2]);
});

test("what nobody waits for any more when its batch begins is not done", async () => {
  const batches: number[][] = [];
  const coalescer = new Coalescer<number, number>({
    run: async (items) => {
      batches.push([...items]);
      return items;
    },
  });
  const asked = new AbortController();
  const answers = [1, 2].map((item) => coalescer.submit(item, asked.signal));
  const kept = coalescer.submit(3);
  const gone = new Error("the caller has gone");
  asked.abort(gone);
  for (const answer of await Promise.allSettled(answers)) {
    assert.equal(answer, { status: "rejected", reason: gone });
  }
  assert.is(await kept, 3);
  await Promise.allSettled([coalescer.submit(4, asked.signal)]);
  assert.is(await coalescer.submit(5), 5);
  assert.equal(batches, [[3], [5]]);
});

test.run();
