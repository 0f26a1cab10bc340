import {
  type Artifact,
  BuildFailure,
  LogSource,
  type WorkLogLine,
  type WorkRequest,
} from "@slipway/proto";
import { suite } from "uvu";
import * as assert from "uvu/assert";
import { LeaseReport } from "../../src/builder/lease-report.js";

const test = suite("lease report");
const LEASE = { buildId: "b", attempt: 2 };
const ARTIFACT: Artifact = { digest: "d", sizeBytes: 1, chunkCount: 1, platform: "p" };
const KIB = 1024;

function line(text: string): WorkLogLine {
  return { time: new Date(0), source: LogSource.STDOUT, text };
}

/** What is in messages, in few words: batch numbers with their lines, complete, fail. */
function brief(messages: WorkRequest[]): unknown[] {
  return messages.map(({ message }) =>
    message?.$case === "logs"
      ? [message.value.batch, ...message.value.lines.map(({ text }) => text)]
      : message?.$case,
  );
}

test("joins lines for a moment, then sends them once", () => {
  const report = new LeaseReport(LEASE);
  report.add([line("a")], 1000);
  assert.equal(brief(report.take(1050)), []);
  report.add([line("b")], 1060);
  assert.equal(brief(report.take(1100)), [[1, "a", "b"]]);
  assert.equal(brief(report.take(1200)), []);
  report.add([line("c")], 1200);
  assert.equal(brief(report.take(1300)), [[2, "c"]]);
});

test("sends a full batch at once", () => {
  const report = new LeaseReport(LEASE);
  report.add([line("x".repeat(200 * KIB)), line("y".repeat(100 * KIB))], 0);
  const [message, ...others] = report.take(0);
  assert.is(others.length, 0);
  assert.is(message?.message?.$case, "logs");
  assert.equal(brief(report.take(100)).length, 1);
});

test("bounds the lines of a batch", () => {
  const report = new LeaseReport(LEASE);
  report.add(
    Array.from({ length: 12_000 }, () => line("")),
    0,
  );
  const counts = report
    .take(100)
    .map(({ message }) => (message?.$case === "logs" ? message.value.lines.length : 0));
  assert.equal(counts, [5000, 5000, 2000]);
});

test("sends the result after the log is acknowledged, until told to stop", () => {
  const report = new LeaseReport(LEASE);
  report.add([line("a")], 0);
  assert.not(report.finished);
  report.finish({ artifact: ARTIFACT }, 10, 60_000);
  assert.ok(report.finished);
  assert.equal(brief(report.take(10)), [[1, "a"]]);
  assert.equal(brief(report.take(20)), []);
  report.acknowledge(7);
  assert.equal(brief(report.take(20)), []);
  report.acknowledge(1);
  assert.equal(brief(report.take(30)), ["complete"]);
  assert.equal(brief(report.take(40)), []);
  assert.equal(brief(report.take(10_030)), ["complete"], "repeated if nothing is heard");
});

test("a new stream hears everything that was not answered, in order", () => {
  const report = new LeaseReport(LEASE);
  report.add([line("a")], 0);
  report.take(100);
  report.add([line("b")], 100);
  report.take(200);
  report.acknowledge(1);
  report.finish({ failure: BuildFailure.fromPartial({ message: "no" }), retry: true }, 200, 1000);
  report.resend();
  assert.equal(brief(report.take(210)), [[2, "b"]]);
  report.acknowledge(2);
  assert.equal(brief(report.take(220)), ["fail"]);
  report.resend();
  assert.equal(brief(report.take(230)), ["fail"]);
});

test("does not wait for the log for ever", () => {
  const report = new LeaseReport(LEASE);
  report.add([line("a")], 0);
  report.finish({ artifact: ARTIFACT }, 0, 3000);
  assert.equal(brief(report.take(0)), [[1, "a"]]);
  assert.not(report.isLogLate(2999));
  assert.equal(brief(report.take(2999)), []);
  assert.ok(report.isLogLate(3000));
  assert.equal(brief(report.take(3000)), ["complete"]);
});

test("holds output back when too much is not acknowledged", async () => {
  const report = new LeaseReport(LEASE);
  for (let index = 0; index < 9; index++) report.add([line("x".repeat(250 * KIB))], 0);
  const room = report.room;
  assert.ok(room instanceof Promise);
  assert.is(report.take(0).length, 8, "the window");
  assert.is(report.take(0).length, 0);
  report.acknowledge(1);
  await room;
  assert.is(report.room, undefined);
  assert.is(brief(report.take(100)).length, 1);
});

test("a dropped report lets the output go and keeps nothing", async () => {
  const report = new LeaseReport(LEASE);
  report.add([line("x".repeat(3000 * KIB))], 0);
  const room = report.room;
  report.drop();
  await room;
  report.add([line("more")], 0);
  assert.equal(report.take(10_000), []);
});

test.run();
