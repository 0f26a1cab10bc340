import { test } from "uvu";
import * as assert from "uvu/assert";
import { StrayKeys } from "../../src/region/stray-keys.js";

test("goes when it has been there for long enough, each time it is written", () => {
  const strays = new StrayKeys(100);
  const steps: [
    now: number,
    found: [string, number][],
    due: [string, number][],
    dueIn: number | undefined,
  ][] = [
    [0, [], [], undefined],
    [10, [["a", 1]], [], 100],
    [
      60,
      [
        ["a", 1],
        ["b", 2],
      ],
      [],
      50,
    ],
    [
      110,
      [
        ["a", 1],
        ["b", 2],
      ],
      [["a", 1]],
      0,
    ],
    // Written again: somebody may be about to make an application of it.
    [
      120,
      [
        ["a", 3],
        ["b", 2],
      ],
      [],
      40,
    ],
    [
      160,
      [
        ["a", 3],
        ["b", 2],
      ],
      [["b", 2]],
      0,
    ],
    // It was not known for a moment what applications there are.
    [170, [], [], undefined],
    [180, [["a", 3]], [], 100],
    [279, [["a", 3]], [], 1],
    [280, [["a", 3]], [["a", 3]], 0],
  ];
  for (const [now, found, due, dueIn] of steps) {
    strays.see(new Map(found), now);
    assert.equal([strays.due(now), strays.dueInMs(now)], [due, dueIn], `at ${now}`);
  }
});

test.run();
