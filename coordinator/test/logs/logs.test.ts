import { LogSource, type LogLine } from "@slipway/proto";
import { NatsError } from "nats";
import { pino } from "pino";
import { test } from "uvu";
import * as assert from "uvu/assert";
import { LateLines } from "../../src/logs/late-lines.js";
import { LogTail } from "../../src/logs/log-tail.js";
import { LogWriter } from "../../src/logs/log-writer.js";
import { afterMessage, firstMessageAfter, lineSequence } from "../../src/logs/sequence.js";
import { MESSAGE_MAX_BYTES, packLines, splitText } from "../../src/logs/split-lines.js";
import { silent } from "../postgres.js";

const { signal } = new AbortController();
const line = (text: string): LogLine => ({
  sequence: 0,
  time: new Date(0),
  attempt: 1,
  source: LogSource.STDOUT,
  text,
});
const none = { add: () => assert.unreachable("nothing is missing") };
const unreachable = (): Promise<never> => Promise.reject(new NatsError("timeout", "TIMEOUT"));

test("long texts are cut between characters", () => {
  const table: [string, number, string[]][] = [
    ["", 4, [""]],
    ["abc", 4, ["abc"]],
    ["abcdef", 4, ["abcd", "ef"]],
    ["aé€😀b", 4, ["aé", "€", "😀", "b"]],
    ["😀😀", 4, ["😀", "😀"]],
  ];
  for (const [text, bytes, pieces] of table) assert.equal(splitText(text, bytes), pieces);
});

test("lines are packed in order, within a message's bounds", () => {
  const many = Array.from({ length: 2_500 }, (_, number) => line(`${number}`));
  const packed = packLines(many);
  assert.equal(
    packed.map(({ length }) => length),
    [1_000, 1_000, 500],
  );
  assert.equal(packed.flat(), many);
  const big = packLines(Array.from({ length: 100 }, () => line("x".repeat(16_000))));
  assert.ok(big.length >= 3);
  for (const message of big) {
    assert.ok(message.reduce((sum, { text }) => sum + text.length, 0) <= MESSAGE_MAX_BYTES);
  }
  assert.equal(packLines([]), []);
});

test("sequences rise within a message and from one to the next", () => {
  assert.is(firstMessageAfter(0), 1);
  assert.is(firstMessageAfter(lineSequence(7, 0)), 7);
  assert.is(firstMessageAfter(lineSequence(7, 999)), 7);
  assert.is(firstMessageAfter(afterMessage(7)), 8);
  assert.ok(lineSequence(7, 999) < afterMessage(7));
  assert.ok(afterMessage(7) < lineSequence(8, 0));
  assert.ok(lineSequence(1, 0) > 0);
});

const going = { last: false, givenUp: false };
const batch = (number: number) => ({
  buildId: "x",
  attempt: 1,
  batch: number,
  lines: [line(`a${number}`), line(`b${number}`)],
  ...going,
});

test("a batch is tried again until it is kept", async () => {
  const kept: string[] = [];
  let failures = 2;
  const logs = {
    append: (_: string, name: string) => {
      failures -= 1;
      if (failures >= 0) return unreachable();
      kept.push(name);
      return Promise.resolve();
    },
  };
  const writer = new LogWriter({ logs, lateLines: none, log: silent });
  assert.ok(await writer.write({ ...batch(1), lines: [line("a")] }, signal));
  assert.equal(kept, ["1/1"]);
});

test("what can't be kept in time is left to the builder, which says it again", async () => {
  const kept: [string, string][] = [];
  let isDown = true;
  const logs = {
    append: (_: string, name: string, lines: readonly LogLine[]) => {
      if (isDown) return unreachable();
      for (const { text } of lines) kept.push([name, text]);
      return Promise.resolve();
    },
  };
  const writer = new LogWriter({ logs, lateLines: none, log: silent, retryMs: 1, maxWaiting: 2 });
  const written = [1, 2, 3].map((number) => writer.write(batch(number), signal));
  assert.equal(await Promise.all(written), [false, false, false]);
  isDown = false;
  assert.ok(await writer.write(batch(1), signal));
  assert.equal(kept, [
    ["1/1", "a1"],
    ["1/1", "b1"],
  ]);
});

test("what a builder says of a log that it gave up is kept once it can be", async () => {
  const kept: string[] = [];
  let isDown = true;
  let said: (() => void) | undefined;
  const done = new Promise<void>((resolve) => (said = resolve));
  const logs = {
    append: (_: string, name: string, lines: readonly LogLine[], ended?: number) => {
      if (isDown) return unreachable();
      for (const { text } of lines) kept.push(`${name} ${text} ${ended}`);
      said?.();
      return Promise.resolve();
    },
  };
  const lateLines = new LateLines({ logs, log: silent, retry: { firstMs: 1, maxMs: 5 } });
  lateLines.start();
  const writer = new LogWriter({ logs, lateLines, log: silent, retryMs: 1 });
  const given = { ...batch(4), lines: [line("9 bytes are missing")], last: true, givenUp: true };
  assert.ok(await writer.write(given, signal));
  isDown = false;
  await done;
  await lateLines.stop();
  await lateLines.stop();
  assert.equal(kept, ["1/4 9 bytes are missing 1"]);
});

test("what can't be said until the coordinator stops is in its log", async () => {
  const errors: string[] = [];
  const log = pino({}, { write: (text) => void errors.push(text) });
  const lateLines = new LateLines({ logs: { append: unreachable }, log });
  lateLines.start();
  lateLines.add({
    buildId: "x",
    name: "1/missing",
    lines: [line("2 lines are missing")],
    endedAttempt: 1,
  });
  await lateLines.stop();
  assert.is(errors.length, 1);
  assert.match(errors[0] ?? "", /2 lines are missing/);
});

test("more than is kept of an attempt ends its log with a word", async () => {
  const kept: string[] = [];
  const logs = {
    append: (_: string, __: string, lines: readonly LogLine[]) => {
      kept.push(...lines.map(({ text }) => text));
      return Promise.resolve();
    },
  };
  const writer = new LogWriter({
    logs,
    lateLines: none,
    log: silent,
    maxBytesPerAttempt: 1_048_576,
  });
  for (let number = 1; number <= 5; number += 1) {
    const lines = [line("x".repeat(500_000))];
    await writer.write({ ...batch(number), lines }, signal);
  }
  assert.is(kept.length, 3);
  assert.is(kept[2], "the log ends here: more than 1 MiB is not kept");
  await writer.write({ ...batch(1), attempt: 2, lines: [line("again")] }, signal);
  assert.is(kept[3], "again");
});

test("a tail says once that logs are not readable, and goes on when they are", async () => {
  let isDown = true;
  let now = 0;
  const asked: number[] = [];
  const logs = {
    end: unreachable,
    read: (_: string, after: number) => {
      asked.push(after);
      if (isDown) return unreachable();
      const sequence = lineSequence(5, 0);
      return Promise.resolve({
        lines: after < sequence ? [{ ...line("a"), sequence }] : [],
        position: afterMessage(5),
        more: false,
        endedAttempt: 0,
      });
    },
  };
  const tail = new LogTail({ logs, buildId: "x", after: 2_050, log: silent, now: () => now });
  const { lines } = await tail.read();
  assert.equal(
    lines.map(({ sequence, source }) => [sequence, source]),
    [[2_050, LogSource.SYSTEM]],
  );
  // Left alone for a while: each try waits for a time-out.
  assert.equal((await tail.read()).lines, []);
  assert.equal(asked, [2_050]);
  now = 20_000;
  assert.equal((await tail.read()).lines, []);
  isDown = false;
  now = 40_000;
  assert.equal(
    (await tail.read()).lines.map(({ text }) => text),
    ["a"],
  );
  assert.equal((await tail.read()).lines, []);
  assert.is(asked.at(-1), afterMessage(5));
});

test("the rest of a log that can't be read ends in bounded tries", async () => {
  let tries = 0;
  const logs = {
    end: unreachable,
    read: () => {
      tries += 1;
      return unreachable();
    },
  };
  const tail = new LogTail({ logs, buildId: "x", after: 0, log: silent, now: () => 0 });
  const texts: string[] = [];
  for await (const lines of tail.rest(1)) texts.push(...lines.map(({ text }) => text));
  assert.is(tries, 3);
  assert.equal(texts, ["the rest of the log is not available: its storage does not answer"]);
});

test("the rest of a log whose end has not come says so", async () => {
  let ended = 0;
  const read = (_: string, after: number) =>
    Promise.resolve({ lines: [], position: Math.max(after, 7), more: false, endedAttempt: ended });
  const rest = async (attempt: number): Promise<string[]> => {
    const logs = { end: unreachable, read };
    const tail = new LogTail({ logs, buildId: "x", after: 0, log: silent, now: () => 0 });
    const texts: string[] = [];
    for await (const lines of tail.rest(attempt)) texts.push(...lines.map(({ text }) => text));
    return texts;
  };
  assert.match((await rest(2)).join(), /^the end of the log has not come/);
  assert.equal(await rest(0), [], "it was cut off");
  ended = 1;
  assert.is((await rest(2)).length, 1, "another attempt's");
  ended = 2;
  assert.equal(await rest(2), []);
});

test("what is kept is read up to where it ended at first, however fast more comes in", async () => {
  const logs = {
    end: () => Promise.resolve(afterMessage(3)),
    read: (_: string, after: number) => {
      const message = firstMessageAfter(after);
      const lines = [{ ...line(`${message}`), sequence: lineSequence(message, 0) }];
      return Promise.resolve({
        lines,
        position: afterMessage(message),
        more: true,
        endedAttempt: 0,
      });
    },
  };
  const tail = new LogTail({ logs, buildId: "x", after: 0, log: silent, now: () => 0 });
  const texts: string[] = [];
  for await (const lines of tail.kept()) texts.push(...lines.map(({ text }) => text));
  assert.equal(texts, ["1", "2", "3"]);
});

test("what is kept and can't be read is an error, not a shorter log", async () => {
  const logs = { end: () => Promise.resolve(afterMessage(3)), read: unreachable };
  const tail = new LogTail({ logs, buildId: "x", after: 0, log: silent, now: () => 0 });
  await tail
    .kept()
    .next()
    .then(
      () => assert.unreachable(),
      (error: unknown) => assert.instance(error, NatsError),
    );
});

test.run();
