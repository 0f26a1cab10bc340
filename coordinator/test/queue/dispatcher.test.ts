import { ApplicationSpec } from "@slipway/proto";
import { test } from "uvu";
import * as assert from "uvu/assert";
import { EventBus } from "../../src/events.js";
import { assignSlots } from "../../src/queue/assign-slots.js";
import { Dispatcher } from "../../src/queue/dispatcher.js";
import type { LeasedBuild, LeaseKey } from "../../src/queue/queue.js";
import { eventually, silent } from "../postgres.js";

const builders = (free: Record<string, number>) =>
  Object.entries(free).map(([builderId, slots]) => ({ builderId, free: slots }));

test("slots are given in turn", () => {
  const table: [Record<string, number>, number, string[]][] = [
    [{}, 10, []],
    [{ a: 0, b: 0 }, 10, []],
    [{ a: 3, b: 1, c: 2 }, 10, ["a", "b", "c", "a", "c", "a"]],
    [{ a: 3, b: 1, c: 2 }, 4, ["a", "b", "c", "a"]],
    [{ a: 1_000_000 }, 3, ["a", "a", "a"]],
  ];
  for (const [free, limit, expected] of table) {
    assert.equal(assignSlots(builders(free), limit), expected);
  }
});

/** A queue in memory that remembers what was released. */
class FakeQueue {
  waiting: string[] = [];
  released: string[] = [];
  isDown = false;

  lease(builderIds: readonly string[]): Promise<LeasedBuild[]> {
    if (this.isDown) return Promise.reject(new Error("connection terminated"));
    const taken = this.waiting.splice(0, builderIds.length);
    return Promise.resolve(
      taken.map((buildId, index) => ({
        buildId,
        attempt: 1,
        builderId: builderIds[index] ?? "",
        application: "shop",
        applicationRevision: 1,
        commitSha: "",
        spec: ApplicationSpec.fromPartial({}),
      })),
    );
  }

  release(leases: readonly LeaseKey[]): Promise<void> {
    this.released.push(...leases.map(({ buildId }) => buildId));
    return Promise.resolve();
  }
}

function start(pollIntervalMs = 60_000) {
  const queue = new FakeQueue();
  const events = new EventBus(silent);
  const dispatcher = new Dispatcher({ queue, events, pollIntervalMs, log: silent });
  const given: string[] = [];
  const seat = (builderId: string, accepts = true) =>
    dispatcher.seat(builderId, ({ buildId }) => {
      if (accepts) given.push(`${builderId}:${buildId}`);
      return accepts;
    });
  const submit = (...ids: string[]): void => {
    queue.waiting.push(...ids);
    events.publish({ kind: "queue", id: "" });
  };
  dispatcher.start();
  return { queue, dispatcher, given, seat, submit };
}

test("a signal wakes it, free slots are used up, and turns change", async () => {
  const { dispatcher, given, seat, submit } = start();
  const one = seat("b1");
  seat("b2").setFree(2);
  one.setFree(1);
  submit("x1");
  await eventually(() => given.length === 1 || undefined);
  submit("x2", "x3", "x4");
  await eventually(() => given.length === 3 || undefined);
  assert.equal(given, ["b1:x1", "b2:x2", "b2:x3"]);
  one.setFree(1);
  await eventually(() => given.length === 4 || undefined);
  assert.is(given[3], "b1:x4");
  await dispatcher.stop();
  await dispatcher.stop();
});

test("without a signal it looks by itself", async () => {
  const { queue, dispatcher, given, seat } = start(20);
  seat("b1").setFree(1);
  queue.waiting.push("x1");
  await eventually(() => given.length === 1 || undefined);
  await dispatcher.stop();
});

test("what can't be delivered is released; a seat that is left gets nothing", async () => {
  const { queue, dispatcher, given, seat, submit } = start();
  const left = seat("b0");
  left.setFree(5);
  left.leave();
  left.leave();
  const deaf = seat("b1", false);
  deaf.setFree(1);
  submit("x1");
  await eventually(() => queue.released.length > 0 || undefined);
  assert.equal(queue.released[0], "x1");
  deaf.leave();
  assert.equal(given, []);
  await dispatcher.stop();
});

test("an outage of the database is survived", async () => {
  const { queue, dispatcher, given, seat } = start(20);
  queue.isDown = true;
  seat("b1").setFree(1);
  queue.waiting.push("x1");
  await new Promise((resolve) => setTimeout(resolve, 50));
  queue.isDown = false;
  await eventually(() => given.length === 1 || undefined);
  await dispatcher.stop();
});

test.run();
