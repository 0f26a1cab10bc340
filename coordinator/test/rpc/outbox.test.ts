import { test } from "uvu";
import * as assert from "uvu/assert";
import { Outbox } from "../../src/rpc/builder/outbox.js";

const HOUR_MS = 3_600_000;
const all = (messages: readonly string[]): number => messages.length;
const never = new AbortController().signal;

const next = async (reader: AsyncGenerator<string[]>): Promise<string[] | undefined> => {
  const { done, value } = await reader.next();
  return done === true ? undefined : value;
};

test("what may wait goes with the next that may not, or when its patience is over", async () => {
  const outbox = new Outbox<string>(10);
  const reader = outbox.read(never, all);
  outbox.push("a", HOUR_MS);
  outbox.push("b", HOUR_MS);
  const read = next(reader);
  outbox.push("c");
  assert.equal(await read, ["a", "b", "c"]);
  outbox.push("d", 1);
  assert.equal(await next(reader), ["d"]);
  outbox.push("e");
  outbox.push("f", HOUR_MS);
  assert.equal(await next(reader), ["e", "f"]);
  outbox.push("g", HOUR_MS);
  outbox.end();
  assert.equal(await next(reader), ["g"]);
  assert.is(await next(reader), undefined);
});

test("as many at once as go together, in order", async () => {
  const outbox = new Outbox<string>(10);
  for (const message of ["a", "b", "c"]) outbox.push(message);
  const reader = outbox.read(never, () => 2);
  assert.equal(await next(reader), ["a", "b"]);
  assert.equal(await next(reader), ["c"]);
});

test("is bounded, and gives back what was not read", async () => {
  const outbox = new Outbox<string>(2);
  assert.ok(outbox.push("a", HOUR_MS));
  assert.ok(outbox.push("b"));
  assert.not(outbox.push("c"));
  assert.equal(outbox.close(), ["a", "b"]);
  assert.not(outbox.push("d"));
  assert.is(await next(outbox.read(never, all)), undefined);
});

test("the reader gets the error after what waits, or the signal's reason", async () => {
  const outbox = new Outbox<string>(10);
  outbox.push("a", HOUR_MS);
  const broken = new Error("broken");
  outbox.end(broken);
  const reader = outbox.read(never, all);
  assert.equal(await next(reader), ["a"]);
  await next(reader).then(
    () => assert.unreachable(),
    (error: unknown) => assert.is(error, broken),
  );
  const over = new AbortController();
  const waiting = next(new Outbox<string>(10).read(over.signal, all));
  const reason = new Error("over");
  over.abort(reason);
  await waiting.then(
    () => assert.unreachable(),
    (error: unknown) => assert.is(error, reason),
  );
});

test.run();
