import { mkdtemp, readdir, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import path from "node:path";
import {
  type Artifact,
  BuildFailure,
  LogSource,
  type WorkLogLine,
  type WorkSaying,
} from "@slipway/proto";
import { suite } from "uvu";
import * as assert from "uvu/assert";
import { type BatchSpool, LeaseReport } from "../../src/builder/lease-report.js";
import { FileSpool } from "../../src/builder/log/file-spool.js";

const test = suite("lease report");
const LEASE = { buildId: "b", attempt: 2 };
const ARTIFACT: Artifact = { digest: "d", sizeBytes: 1, chunkCount: 1, platform: "p" };
const KIB = 1024;

function line(text: string): WorkLogLine {
  return { time: new Date(0), source: LogSource.STDOUT, text };
}

function memorySpool(): BatchSpool {
  const kept: Uint8Array[] = [];
  return {
    get bytes() {
      return kept.reduce((sum, { length }) => sum + length, 0);
    },
    get isEmpty() {
      return kept.length === 0;
    },
    push: (bytes) => kept.push(bytes) > 0,
    shift: () => {
      const bytes = kept.shift();
      return bytes && { size: bytes.length, bytes };
    },
    close: () => void kept.splice(0),
  };
}

const newReport = (): LeaseReport => new LeaseReport(LEASE, memorySpool());

/** What is in messages, in few words: batch numbers with their lines, complete, fail. */
function brief(messages: WorkSaying[]): unknown[] {
  return messages.map((message) =>
    message.$case === "logs"
      ? [message.value.batch, ...message.value.lines.map(({ text }) => text)]
      : message.$case,
  );
}

test("joins lines for a moment, then sends them once", () => {
  const report = newReport();
  report.add([line("a")], 1000);
  assert.equal(brief(report.take(1050)), []);
  report.add([line("b")], 1060);
  assert.equal(brief(report.take(1100)), [[1, "a", "b"]]);
  assert.equal(brief(report.take(1200)), []);
  report.add([line("c")], 1200);
  assert.equal(brief(report.take(1300)), [[2, "c"]]);
});

test("sends a full batch at once", () => {
  const report = newReport();
  report.add([line("x".repeat(200 * KIB)), line("y".repeat(100 * KIB))], 0);
  const [message, ...others] = report.take(0);
  assert.is(others.length, 0);
  assert.is(message?.$case, "logs");
  assert.equal(brief(report.take(100)).length, 1);
});

test("bounds the lines of a batch", () => {
  const report = newReport();
  report.add(
    Array.from({ length: 12_000 }, () => line("")),
    0,
  );
  const counts = report
    .take(100)
    .map((message) => (message.$case === "logs" ? message.value.lines.length : 0));
  assert.equal(counts, [5000, 5000, 2000]);
});

test("the result waits for the log for a moment; the log's last batch says that it is the last", () => {
  const report = newReport();
  report.add([line("a")], 0);
  assert.not(report.finished);
  report.finish({ artifact: ARTIFACT, provenance: Buffer.alloc(0) }, 10, 2_000);
  assert.ok(report.finished);
  const [message] = report.take(10);
  assert.ok(message?.$case === "logs" && message.value.last);
  assert.equal(brief(report.take(20)), []);
  report.acknowledge(7);
  assert.equal(brief(report.take(20)), []);
  report.acknowledge(1);
  assert.equal(brief(report.take(30)), ["complete"]);
  assert.equal(brief(report.take(40)), []);
  assert.equal(brief(report.take(10_030)), ["complete"], "repeated if nothing is heard");
  report.accept();
  assert.ok(report.isDone);
  assert.equal(brief(report.take(30_000)), []);
});

test("a new stream hears everything that was not answered, in order", () => {
  const report = newReport();
  report.add([line("a")], 0);
  report.take(100);
  report.add([line("b")], 100);
  report.take(200);
  report.acknowledge(1);
  report.finish({ failure: BuildFailure.fromPartial({ message: "no" }), retry: true }, 200, 1000);
  report.resend();
  assert.equal(brief(report.take(210)), [[2, "b"], [3]]);
  report.acknowledge(2);
  report.acknowledge(3);
  assert.equal(brief(report.take(220)), ["fail"]);
  report.resend();
  assert.equal(brief(report.take(230)), ["fail"]);
});

test("a result is not held by its log, which follows", () => {
  const report = newReport();
  report.add([line("a")], 0);
  report.finish({ artifact: ARTIFACT, provenance: Buffer.alloc(0) }, 0, 3000);
  assert.equal(brief(report.take(0)), [[1, "a"]]);
  assert.equal(brief(report.take(2999)), []);
  assert.equal(brief(report.take(3000)), ["complete"]);
  report.accept();
  assert.not(report.isDone);
  assert.equal(brief(report.take(20_000)), [[1, "a"]]);
  report.acknowledge(1);
  assert.ok(report.isDone);
});

test("nothing of a log follows a build that goes to another builder: it says what is missing", () => {
  const report = newReport();
  report.add([line("x".repeat(1_000))], 0);
  const failure = BuildFailure.fromPartial({ message: "stopped" });
  report.finish({ failure, retry: true }, 0, 1_000);
  report.take(0);
  const [given, ...others] = brief(report.take(1_000)) as string[][];
  assert.is(others.length, 0);
  assert.match(given?.[1] ?? "", /^up to 1016 bytes of the log are missing at its end/);
  assert.equal(brief(report.take(1_999)), []);
  assert.equal(brief(report.take(2_000)), ["fail"]);
});

test("what was never worked on has a result and no log", () => {
  const report = newReport();
  report.finish({ failure: BuildFailure.fromPartial({ message: "no slot" }), retry: true }, 0, 0);
  assert.equal(brief(report.take(0)), ["fail"]);
});

test("what has no room in the window waits on disk and comes in order", async () => {
  const directory = await mkdtemp(path.join(tmpdir(), "slipway-spool-"));
  const report = new LeaseReport(LEASE, new FileSpool(directory, 8 * 1024 * KIB));
  try {
    const sent: unknown[] = [];
    const take = (): void => {
      for (const message of report.take(0)) sent.push(brief([message])[0]);
    };
    for (let number = 1; number <= 20; number++) {
      report.add([line(`${number} ${"x".repeat(250 * KIB)}`)], 0);
    }
    report.finish({ artifact: ARTIFACT, provenance: Buffer.alloc(0) }, 0, 0);
    take();
    assert.is(sent.length, 9, "the window, and the result");
    assert.equal(await readdir(directory), [], "the file has no name");
    report.accept();
    for (let number = 1; number <= 20; number++) {
      report.acknowledge(number);
      take();
    }
    assert.ok(report.isDone);
    const batches = sent.filter((each) => Array.isArray(each)) as [number, string][];
    assert.equal(
      batches.map(([number, text]) => [number, Number.parseInt(text, 10)]),
      Array.from({ length: 20 }, (_, index) => [index + 1, index + 1]),
    );
  } finally {
    report.drop();
    await rm(directory, { recursive: true });
  }
});

test("what the disk does not take is counted, and said where it is missing", () => {
  const full: BatchSpool = { ...memorySpool(), push: () => false };
  const report = new LeaseReport(LEASE, full);
  for (let number = 0; number < 10; number++) report.add([line("x".repeat(250 * KIB))], 0);
  assert.is(report.take(100).length, 8, "the window");
  report.add([line("y")], 100);
  report.finish({ artifact: ARTIFACT, provenance: Buffer.alloc(0) }, 100, 60_000);
  const [last] = report.take(200);
  const said = last?.$case === "logs" ? last.value : undefined;
  assert.ok(said?.last);
  assert.equal(
    said?.lines.map(({ text }) => text.slice(0, 60)),
    ["256016 bytes of the log are missing here: the builder could ", "x".repeat(60), "y"],
  );
});

test("a dropped report keeps nothing", () => {
  const report = newReport();
  report.add([line("x".repeat(3000 * KIB))], 0);
  report.drop();
  report.add([line("more")], 0);
  assert.equal(report.take(10_000), []);
  assert.is(report.logBytes, 0);
});

test.run();
