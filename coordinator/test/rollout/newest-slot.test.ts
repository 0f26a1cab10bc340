import { test } from "uvu";
import * as assert from "uvu/assert";
import { NewestSlot } from "../../src/rollout/newest-slot.js";

const forever = new AbortController().signal;

test("a slow reader gets the newest only", async () => {
  const slot = new NewestSlot<number>(forever);
  for (let n = 1; n <= 1_000; n += 1) slot.put(n);
  assert.is(await slot.take(), 1_000);
  assert.ok(slot.isEmpty);
});

test("a reader that waits is woken", async () => {
  const slot = new NewestSlot<string>(forever);
  const taken = slot.take();
  slot.put("a");
  assert.is(await taken, "a");
  const next = slot.take();
  slot.put("b");
  slot.put("c");
  assert.is(await next, "c");
});

test("the signal ends a wait with its reason", async () => {
  const controller = new AbortController();
  const taken = new NewestSlot<string>(controller.signal).take();
  controller.abort(new Error("over"));
  await taken.then(
    () => assert.unreachable(),
    (error: Error) => assert.is(error.message, "over"),
  );
});

test.run();
