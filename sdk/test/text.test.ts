import { test } from "uvu";
import * as assert from "uvu/assert";
import { durationText, parseDuration } from "../src/cli/duration-text.js";
import { agoText, bytesText, spanText } from "../src/cli/quantities.js";
import {
  displayWidth,
  fit,
  jsonText,
  logText,
  oneLine,
  plain,
  plainLines,
} from "../src/cli/text.js";

const ESC = "\u001b";

for (const [text, expected] of [
  ["web", "web"],
  ["a\nb\tc", "a\\nb\\tc"],
  [`${ESC}[31mred`, "\\u001b[31mred"],
  ["\u009b31m \u007f", "\\u009b31m \\u007f"],
  ["abc\u202ecba", "abc\\u202ecba"],
  ["zoë 日本 🚢", "zoë 日本 🚢"],
] as const) {
  test(`plain ${JSON.stringify(text)}`, () => assert.is(plain(text), expected));
}

test("JSON is the same to who reads it, and plain to a terminal", () => {
  const value = { "a\u009b": ["\u001b[2J\u007f", "\u202e", "zoë 🚢"] };
  assert.is(jsonText(value), '{"a\\u009b":["\\u001b[2J\\u007f","\\u202e","zoë 🚢"]}');
  assert.equal(JSON.parse(jsonText(value, 2)), value);
});

test("oneLine joins lines", () => assert.is(oneLine("a:\n  b\u0007\r\nc\n"), "a: / b\\u0007 / c"));
test("plainLines keeps lines", () => assert.is(plainLines("a\r\nb\u0007\n"), "a\nb\\u0007\n"));

for (const [text, coloured, uncoloured] of [
  ["ok", "ok", "ok"],
  ["a\tb", "a\tb", "a\tb"],
  [`${ESC}[32mok${ESC}[0m`, `${ESC}[32mok${ESC}[0m${ESC}[0m`, "ok"],
  [`${ESC}[2J${ESC}[1;1Hgone`, "gone", "gone"],
  [`${ESC}]0;title\u0007text`, "text", "text"],
  [`${ESC}]8;;http://x${ESC}\\link${ESC}]8;;${ESC}\\`, "link", "link"],
  [`${ESC}P1$r${ESC}\\x`, "x", "x"],
  [`${ESC}c reset`, " reset", " reset"],
  ["10%\r100%\u0008", "10%100%", "10%100%"],
  [`half ${ESC}`, "half ", "half "],
  [`${ESC}[31mred ${ESC}[`, `${ESC}[31mred ${ESC}[0m`, "red "],
  ["\u009b2Jx", "x", "x"],
] as const) {
  test(`log text ${JSON.stringify(text)}`, () => {
    assert.is(logText(text, true), coloured);
    assert.is(logText(text, false), uncoloured);
  });
}

for (const [text, width] of [
  ["abc", 3],
  ["日本", 4],
  ["e\u0301", 1],
  ["🚢", 2],
  [`${ESC}[31mred${ESC}[0m`, 3],
  ["…", 1],
] as const) {
  test(`${JSON.stringify(text)} is ${width} wide`, () => assert.is(displayWidth(text), width));
}

for (const [text, columns, expected] of [
  ["abcdef", 6, "abcdef"],
  ["abcdef", 5, "abcd…"],
  ["日本語", 5, "日本…"],
  ["日本語", 4, "日…"],
  ["abc", 1, "…"],
  ["abc", 0, ""],
  ["abc", Number.POSITIVE_INFINITY, "abc"],
] as const) {
  test(`fit ${text} in ${columns}`, () => assert.is(fit(text, columns), expected));
}

for (const [text, ms] of [
  ["500ms", 500],
  ["15m", 900_000],
  ["1h30m", 5_400_000],
  ["1.5s", 1_500],
  ["0s", 0],
  ["", undefined],
  ["15", undefined],
  ["-1s", undefined],
  ["1 s", undefined],
  ["3d", 259_200_000],
  ["1w", undefined],
  ["s", undefined],
  [`${"9".repeat(400)}h`, undefined],
] as const) {
  test(`duration "${text.slice(0, 10)}"`, () => assert.is(parseDuration(text), ms));
}

for (const [ms, text] of [
  [0, "0s"],
  [900_000, "15m"],
  [5_400_000, "1h30m"],
  [1_500, "1s500ms"],
  [86_400_000, "24h"],
] as const) {
  test(`${ms} ms is ${text}, and back`, () => {
    assert.is(durationText(ms), text);
    assert.is(parseDuration(text), ms);
  });
}

for (const [bytes, text] of [
  [0, "0 B"],
  [999, "999 B"],
  [1_000, "1.0 KiB"],
  [1_536, "1.5 KiB"],
  [10_239, "10 KiB"],
  [32 * 1024 ** 2, "32 MiB"],
  [10 * 1024 ** 3, "10 GiB"],
  [5_000 * 1024 ** 4, "5000 TiB"],
  [-1, "0 B"],
] as const) {
  test(`${bytes} bytes are ${text}`, () => assert.is(bytesText(bytes), text));
}

for (const [ms, text] of [
  [0, "0 s"],
  [59_400, "59 s"],
  [125_000, "2 min 5 s"],
  [120_000, "2 min"],
  [4_200_000, "1 h 10 min"],
  [273_600_000, "3 d 4 h"],
  [-5, "0 s"],
] as const) {
  test(`${ms} ms are ${text}`, () => assert.is(spanText(ms), text));
}

test("ago", () => {
  assert.is(agoText(new Date(1_000), 6_000), "5 s ago");
  assert.is(agoText(undefined, 6_000), "-");
});

test.run();
