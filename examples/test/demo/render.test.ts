import { test } from "uvu";
import * as assert from "uvu/assert";
import { bar, bytes, duration, shortSha, table } from "../../src/demo/render.js";

test("bytes", () => {
  const mebibyte = 1024 * 1024;
  for (const [count, text] of [
    [0, "0"],
    [1, "1 KiB"],
    [831_488, "812 KiB"],
    [mebibyte, "1.0 MiB"],
    [38.1 * mebibyte, "38.1 MiB"],
    [1_440 * mebibyte, "1440 MiB"],
  ] as const) {
    assert.is(bytes(count), text);
  }
});

test("duration", () => {
  assert.is(duration(0), "0 ms");
  assert.is(duration(99), "99 ms");
  assert.is(duration(100), "0.10 s");
  assert.is(duration(2_940), "2.94 s");
  assert.is(duration(9_999), "10.0 s");
  assert.is(duration(61_234), "61.2 s");
});

test("bar", () => {
  assert.is(bar(0, 4), "░░░░");
  assert.is(bar(0.5, 4), "██░░");
  assert.is(bar(1, 4), "████");
  assert.is(bar(1.5, 4), "████");
  assert.is(bar(-1, 4), "░░░░");
});

test("table", () => {
  assert.equal(table([["", "a"], ["bytes", "12", "x"], ["b"]]), [
    "         a",
    "bytes   12   x",
    "b",
  ]);
  assert.equal(table([]), []);
});

test("short SHA", () => {
  assert.is(shortSha("0123456789abcdef"), "0123456");
});

test.run();
