import * as fc from "fast-check";
import { test } from "uvu";
import * as assert from "uvu/assert";
import { raiseLimit, type RegionSwitch } from "../../src/rollout/raise-limits.js";

const region = (
  hostCount: number,
  chosenCount: number,
  onTheWay: number,
  nextBucket: number,
): RegionSwitch => ({ hostCount, chosenCount, onTheWay, nextBucket });

const CASES: [
  name: string,
  limit: number,
  percent: number,
  maxSwitching: number,
  region: RegionSwitch,
  expected: number,
][] = [
  ["a region without hosts is done", 0, 50, 25, region(0, 0, 0, 10_000), 5_000],
  ["a quarter at once", 0, 100, 25, region(100, 0, 0, 12), 2_500],
  ["no more than the percentage", 0, 10, 25, region(100, 0, 0, 12), 1_000],
  ["those on their way are taken off", 2_500, 100, 25, region(100, 25, 10, 2_600), 4_000],
  ["none while as many as may are on their way", 2_500, 100, 25, region(100, 25, 25, 2_600), 2_500],
  ["at the percentage nothing rises", 1_000, 10, 25, region(100, 10, 0, 1_100), 1_000],
  ["above it neither", 3_000, 10, 25, region(4, 1, 0, 5_000), 3_000],
  ["of few hosts one at least", 0, 100, 25, region(3, 0, 0, 40), 3_334],
  ["empty buckets are skipped", 3_334, 100, 25, region(3, 1, 0, 9_000), 9_001],
  ["the first host goes, however few percent", 0, 10, 25, region(2, 0, 0, 4_000), 4_001],
  ["and at the percentage, too", 1_000, 10, 25, region(2, 0, 0, 4_000), 4_001],
  ["the next one beyond the percentage does not", 0, 50, 25, region(4, 1, 0, 6_000), 5_000],
  ["the last bucket", 9_999, 100, 25, region(5, 4, 0, 9_999), 10_000],
];

for (const [name, limit, percent, maxSwitching, counts, expected] of CASES) {
  test(`${name}: ${limit} → ${expected}`, () => {
    assert.is(raiseLimit(limit, percent, maxSwitching, counts), expected);
  });
}

test("any region gets to its percentage in finitely many raises, with few on their way", () => {
  const buckets = fc.array(fc.integer({ min: 0, max: 9_999 }), { minLength: 1, maxLength: 60 });
  const percents = fc.integer({ min: 1, max: 100 });
  fc.assert(
    fc.property(buckets, percents, percents, (hosts, percent, maxSwitching) => {
      const chosen = (limit: number): number => hosts.filter((bucket) => bucket < limit).length;
      const next = (limit: number): number =>
        Math.min(10_000, ...hosts.filter((bucket) => bucket >= limit));
      let limit = 0;
      let raises = 0;
      while (raises < 1_000) {
        const counts = region(hosts.length, chosen(limit), 0, next(limit));
        const raised = raiseLimit(limit, percent, maxSwitching, counts);
        assert.ok(raised >= limit && raised <= 10_000);
        if (raised === limit) break;
        limit = raised;
        raises += 1;
      }
      assert.ok(raises <= 210, `${raises} raises`);
      assert.ok(chosen(limit) > 0);
      assert.ok(limit >= percent * 100);
    }),
  );
});

test.run();
