import { test } from "uvu";
import * as assert from "uvu/assert";
import { durationFromMs, durationToMs } from "../src/duration.js";

for (const ms of [0, 1, 999, 1000, 1500, 900_000]) {
  test(`${ms} ms survives`, () => assert.is(durationToMs(durationFromMs(ms), -1), ms));
}

test("an absent duration is the default", () => assert.is(durationToMs(undefined, 42), 42));

test.run();
