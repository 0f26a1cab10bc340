import { test } from "uvu";
import * as assert from "uvu/assert";
import { similarNames } from "../../src/application/similar-names.js";

const KNOWN = ["eu", "us", "eu-west", "eu-west-1", "ap-south", "sa"];

for (const [name, expected] of [
  ["ue", ["eu", "us"]],
  ["eu-wset", ["eu-west", "eu"]],
  ["eu-west-2", ["eu-west-1", "eu-west", "eu"]],
  ["ap-suoth", ["ap-south"]],
  ["mars", []],
  ["e", ["eu", "eu-west", "eu-west-1"]],
] as const) {
  test(`${name} may be ${expected.join(", ") || "nothing known"}`, () => {
    assert.equal(similarNames(name, KNOWN, 3), [...expected]);
  });
}

test("of no name there is none like it", () => {
  assert.equal(similarNames("eu", [], 3), []);
});

test.run();
