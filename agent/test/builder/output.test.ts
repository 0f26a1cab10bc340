import { LOG_LINE_MAX_BYTES, LogSource } from "@slipway/proto";
import { suite } from "uvu";
import * as assert from "uvu/assert";
import { LineSplitter } from "../../src/builder/log/line-splitter.js";
import { OutputLog, type OutputSource } from "../../src/builder/log/output-log.js";

const splitter = suite("line splitter");

function split(chunks: readonly Buffer[]): string[] {
  const lines = new LineSplitter();
  return [...chunks.flatMap((chunk) => lines.push(chunk)), ...lines.flush()];
}

splitter("cuts lines wherever the chunks are cut", () => {
  const text = "one\ntwo\r\n\nfünf 🚢 ships\r\rx\nlast";
  const expected = ["one", "two", "", "fünf 🚢 ships\r\rx", "last"];
  const bytes = Buffer.from(text);
  for (let size = 1; size <= bytes.length; size++) {
    const chunks: Buffer[] = [];
    for (let at = 0; at < bytes.length; at += size) chunks.push(bytes.subarray(at, at + size));
    assert.equal(split(chunks), expected, `chunks of ${size}`);
  }
  assert.equal(split([]), []);
  assert.equal(split([Buffer.from("\n")]), [""]);
});

splitter("splits long lines between characters and keeps every byte", () => {
  for (const [unit, count] of [
    ["x", LOG_LINE_MAX_BYTES * 2 + 1],
    ["é", LOG_LINE_MAX_BYTES],
    ["a🚢", LOG_LINE_MAX_BYTES],
  ] as const) {
    const text = unit.repeat(count);
    for (const bytes of [Buffer.from(text), Buffer.from(`${text}\n`)]) {
      for (const size of [1000, 65_536, bytes.length]) {
        const chunks: Buffer[] = [];
        for (let at = 0; at < bytes.length; at += size) chunks.push(bytes.subarray(at, at + size));
        const lines = split(chunks);
        assert.is(lines.join(""), text);
        assert.ok(lines.every((line) => Buffer.byteLength(line) <= LOG_LINE_MAX_BYTES));
        assert.not(lines.some((line) => line.includes("\ufffd")));
      }
    }
  }
});

splitter("replaces bad bytes and stays within the limit", () => {
  assert.equal(split([Buffer.from([0x61, 0xff, 0x62, 0x0a])]), ["a\ufffdb"]);
  const bad = Buffer.alloc(LOG_LINE_MAX_BYTES, 0xff);
  const lines = split([bad, Buffer.from("\n")]);
  assert.ok(lines.every((line) => Buffer.byteLength(line) <= LOG_LINE_MAX_BYTES));
  assert.is(lines.join("").length, LOG_LINE_MAX_BYTES);
});

splitter.run();

const output = suite("output log");
const { STDOUT, STDERR, SYSTEM } = LogSource;
const AT = new Date(0);
const line = (index: number): string => `line ${String(index).padStart(7, "0")}`;

/** Pushes texts and returns what comes at once and what comes at the end. */
function pass(
  limits: { headBytes: number; tailBytes: number },
  chunks: readonly (readonly [OutputSource, string])[],
): { head: string[]; end: { source: LogSource; text: string }[] } {
  const log = new OutputLog(limits);
  const head = chunks.flatMap(([source, text]) => log.push(source, Buffer.from(text), AT));
  const end = log.finish(AT).map(({ source, text }) => ({ source, text }));
  return { head: head.map(({ text }) => text), end };
}

output("passes on what is within the limit", () => {
  const { head, end } = pass({ headBytes: 1000, tailBytes: 10 }, [
    [STDOUT, "a\nb"],
    [STDERR, "x\ny"],
    [STDOUT, "c\n"],
  ]);
  assert.equal(head, ["a", "x", "bc"]);
  assert.equal(end, [{ source: STDERR, text: "y" }]);
});

output("leaves nothing out as long as the tail holds it", () => {
  const { head, end } = pass({ headBytes: 5, tailBytes: 100 }, [
    [STDOUT, "12345\n6"],
    [STDOUT, "7\n8\n"],
    [STDERR, "e\n"],
    [STDOUT, "9"],
  ]);
  assert.equal(head, ["12345"]);
  assert.equal(end, [
    { source: STDOUT, text: "67" },
    { source: STDOUT, text: "8" },
    { source: STDERR, text: "e" },
    { source: STDOUT, text: "9" },
  ]);
});

output("says exactly how much it left out, and keeps the end in whole lines", () => {
  const log = new OutputLog({ headBytes: 1000, tailBytes: 40_000 });
  const all = Buffer.from(
    Array.from({ length: 50_000 }, (_, index) => `${line(index)}\n`).join(""),
  );
  const kept: string[] = [];
  let texts = 0;
  for (let at = 0; at < all.length; at += 7001) {
    for (const { text } of log.push(STDOUT, all.subarray(at, at + 7001), AT)) {
      kept.push(text);
      texts += text.length + 1;
    }
  }
  const end = log.finish(AT);
  const notice = end.findIndex(({ source }) => source === SYSTEM);
  const [, lines, bytes] =
    /left out here: (\d+) lines, (\d+) bytes/.exec(end[notice]?.text ?? "") ?? [];
  const carried = end.slice(0, notice);
  const tail = end.slice(notice + 1);
  assert.is(carried.length, 1, "the line that the first part ended in");
  assert.is(tail.at(-1)?.text, line(49_999));
  assert.ok(tail.every(({ text }) => /^line \d{7}$/.test(text)));
  for (const { text } of tail) texts += text.length + 1;
  texts += carried[0]?.text.length ?? 0;
  assert.is(texts + Number(bytes), all.length);
  assert.is(kept.length + Number(lines) + tail.length, 50_000);
});

output("bounds a line without end, and millions of empty ones", () => {
  const log = new OutputLog({ headBytes: 1000, tailBytes: 1000 });
  for (let index = 0; index < 100; index++) log.push(STDERR, Buffer.from("é".repeat(500)), AT);
  const end = log.finish(AT);
  assert.ok(end.length < 10);
  assert.ok(end.every(({ text }) => !text.includes("\ufffd")));
  const empty = new OutputLog({ headBytes: 16_000, tailBytes: 100 });
  let lines = 0;
  for (let index = 0; index < 50; index++) {
    lines += empty.push(STDOUT, Buffer.from("\n".repeat(100)), AT).length;
  }
  assert.is(lines, 1000);
});

output.run();
