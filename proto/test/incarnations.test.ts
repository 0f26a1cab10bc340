import { test } from "uvu";
import * as assert from "uvu/assert";
import { Incarnations } from "../src/incarnations.js";

/** Who is heard when, in seconds. */
type Script = readonly (readonly [at: number, who: string])[];

function twinsAfter(script: Script, at: number): string[] {
  const heard = new Incarnations<string>();
  for (const [second, who] of script) heard.note(who, who.toUpperCase(), second * 1_000);
  return [...heard.twins(at * 1_000).values()].sort();
}

const cases: readonly [what: string, script: Script, at: number, twins: string[]][] = [
  ["one", [0, 10, 20].map((at) => [at, "a"] as const), 20, []],
  [
    "a restart",
    [
      [0, "a"],
      [10, "a"],
      [11, "b"],
      [21, "b"],
    ],
    21,
    [],
  ],
  [
    "a restart, and a message that came late",
    [
      [0, "a"],
      [11, "b"],
      [14, "a"],
      [21, "b"],
    ],
    21,
    [],
  ],
  ["a crash loop", Array.from({ length: 50 }, (_, i) => [i, `p${i}`] as const), 50, []],
  [
    "two, one of them a copy",
    [
      [0, "a"],
      [3, "b"],
      [10, "a"],
      [13, "b"],
    ],
    13,
    ["A", "B"],
  ],
  [
    "two in turn, as each takes the other's place",
    [
      [0, "a"],
      [1, "b"],
      [2, "a"],
      [7, "b"],
      [8, "a"],
    ],
    8,
    ["A", "B"],
  ],
  [
    "a third that was just started",
    [
      [0, "a"],
      [0, "b"],
      [10, "a"],
      [10, "b"],
      [11, "c"],
    ],
    11,
    ["A", "B"],
  ],
  [
    "two, of which one has gone",
    [
      [0, "a"],
      [3, "b"],
      [10, "a"],
      [13, "b"],
      [23, "b"],
      [43, "b"],
    ],
    43,
    [],
  ],
];

for (const [what, script, at, twins] of cases) {
  test(`incarnations: ${what}`, () => assert.equal(twinsAfter(script, at), twins));
}

test("incarnations: how many are remembered is bounded, and they are forgotten", () => {
  const heard = new Incarnations<number>();
  for (let index = 0; index < 1_000; index += 1) heard.note(String(index), index, index);
  assert.is(heard.size(1_000), 8);
  assert.is(heard.size(40_000), 0);
});

test.run();
