import { test } from "uvu";
import * as assert from "uvu/assert";
import { Responses, type StreamingCall } from "../../src/rpc/responses.js";

/** A call whose reader takes a response when it is told to. */
function slowCall() {
  const waiting: (() => void)[] = [];
  const call = { write: (_: unknown, done: () => void) => waiting.push(done) < 16 };
  return { waiting, call: call as unknown as StreamingCall<unknown, string> };
}

const turns = async (): Promise<void> => {
  for (let turn = 0; turn < 100; turn += 1) await Promise.resolve();
};

test("few responses wait for a caller that does not read, whatever the stream would take", async () => {
  const { waiting, call } = slowCall();
  const responses = new Responses(call);
  const { signal } = new AbortController();
  const writing = (async () => {
    for (let written = 0; written < 8; written += 1) await responses.write("x", signal);
  })();
  await turns();
  assert.is(waiting.length, 4);
  waiting.shift()?.();
  await turns();
  assert.is(waiting.length, 4);
  for (let taken = 1; taken < 8; taken += 1) {
    waiting.shift()?.();
    await turns();
  }
  await writing;
});

test("who does not wait is told whether there is room, and when there is again", () => {
  const { waiting, call } = slowCall();
  const responses = new Responses(call);
  let told = 0;
  responses.onRoom = () => (told += 1);
  for (let sent = 0; sent < 4; sent += 1) {
    assert.ok(responses.hasRoom);
    responses.send("x");
  }
  assert.not(responses.hasRoom);
  waiting.shift()?.();
  assert.ok(responses.hasRoom);
  assert.is(told, 1);
});

test("who waits for a caller is woken when the call is over", async () => {
  const { call } = slowCall();
  const responses = new Responses(call);
  const over = new AbortController();
  const reason = new Error("over");
  const writing = (async () => {
    for (;;) await responses.write("x", over.signal);
  })();
  over.abort(reason);
  await writing.then(
    () => assert.unreachable(),
    (error: unknown) => assert.is(error, reason),
  );
});

test.run();
