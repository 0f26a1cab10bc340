import {
  durationFromMs,
  HealthCheck,
  OnFailure,
  Promotion,
  RunSpec,
  Strategy,
  type Wave,
} from "@slipway/proto";
import { test } from "uvu";
import * as assert from "uvu/assert";
import { checkStrategy, defaultStrategy } from "../../src/application/strategy.js";
import { Violations } from "../../src/validate.js";

const regions = ["eu", "us", "ap"];
const run = RunSpec.fromPartial({
  healthCheck: HealthCheck.fromPartial({ deadline: durationFromMs(30_000) }),
  drainTime: durationFromMs(5_000),
});
type Change = Parameters<typeof Strategy.fromPartial>[0];
type Waves = NonNullable<Change["waves"]>;

function check(change: Change): { checked: Strategy; faults: string[] } {
  const found = new Violations();
  const checked = checkStrategy(Strategy.fromPartial(change), { regions, run }, "s", found);
  return { checked, faults: found.found.map(({ field }) => field) };
}

const all: Waves[number] = { regions: ["*"] };
const minutes = (count: number) => durationFromMs(count * 60_000);

test("the default: a tenth of the first region, then everybody", () => {
  const strategy = defaultStrategy(regions);
  assert.equal(strategy, check({}).checked);
  assert.equal(
    strategy.waves.map((wave) => [wave.regions, wave.percents, wave.bakeTime]),
    [
      [["eu"], [10], durationFromMs(30_000)],
      [["*"], [100], durationFromMs(30_000)],
    ],
  );
  assert.equal(
    { ...strategy, waves: [] },
    {
      waves: [],
      maxSwitchingPercent: 25,
      failureBudget: { failedPercent: 2, silentPercent: 5 },
      stageTimeout: minutes(30),
      activateTimeout: minutes(10),
      timeout: minutes(360),
      promotion: Promotion.AUTOMATIC,
      onFailure: OnFailure.ROLL_BACK,
    },
  );
});

test("what is stated is kept, and checking again changes nothing", () => {
  const { checked, faults } = check({
    waves: [{ regions: ["us"], percents: [1, 50], bakeTime: durationFromMs(0) }, all],
    failureBudget: { failedPercent: 0, silentPercent: 0 },
    onFailure: OnFailure.STOP,
  });
  assert.equal(faults, []);
  assert.equal(checked.waves[0]?.bakeTime, durationFromMs(0));
  assert.equal(checked.waves[1]?.percents, [100]);
  assert.equal(checked.failureBudget, { failedPercent: 0, silentPercent: 0 });
  assert.is(checked.onFailure, OnFailure.STOP);
  assert.equal(check(checked).checked, checked);
});

test("timeouts that are not stated leave room for what is", () => {
  const long = RunSpec.fromPartial({ healthCheck: { deadline: minutes(50) } });
  assert.equal(defaultStrategy(regions, long).activateTimeout, minutes(100));
  const { checked, faults } = check({ waves: [{ ...all, bakeTime: minutes(24 * 60) }] });
  assert.equal(faults, []);
  assert.equal(checked.timeout, minutes(2 * (24 * 60 + 10)));
});

test("what is allowed", () => {
  const good: Waves[] = [
    [all],
    [{ regions: ["eu", "us", "ap"] }],
    [{ regions: ["eu"] }, all],
    [
      { regions: ["eu"], percents: [50] },
      { regions: ["*"], percents: [10, 100] },
    ],
    [{ regions: ["eu"], percents: [1, 10] }, { regions: ["us", "eu"] }, { regions: ["ap"] }],
    Array.from({ length: 50 }, (_, n) => ({ regions: ["*"], percents: [2 * n + 1, 2 * n + 2] })),
  ];
  for (const waves of good) assert.equal(check({ waves }).faults, []);
});

test("what is refused, and which field is blamed", () => {
  const wave = (change: Partial<Wave>): Change => ({ waves: [{ ...all, ...change }, all] });
  const bad: [Change, string[]][] = [
    [wave({ percents: [101] }), ["s.waves[0].percents[0]", "s.waves[1].percents[0]"]],
    [wave({ percents: [0, 50] }), ["s.waves[0].percents[0]", "s.waves[0].percents[0]"]],
    [wave({ percents: [50, 50] }), ["s.waves[0].percents[1]"]],
    [wave({ percents: [50, 20] }), ["s.waves[0].percents[1]"]],
    [wave({ regions: [] }), ["s.waves[0].regions"]],
    [wave({ regions: ["xx"] }), ["s.waves[0].regions[0]"]],
    [wave({ regions: ["eu", "eu"] }), ["s.waves[0].regions[1]"]],
    [wave({ regions: ["eu", "*"] }), ["s.waves[0].regions[1]"]],
    [wave({ percents: [50], bakeTime: minutes(24 * 60 + 1) }), ["s.waves[0].bake_time"]],
    [wave({ percents: [50], bakeTime: minutes(-1) }), ["s.waves[0].bake_time"]],
    [{ waves: [all, all] }, ["s.waves[1].percents[0]"]],
    [
      { waves: [{ regions: ["eu"] }, { regions: ["us", "ap"], percents: [99] }] },
      ["s.waves", "s.waves"],
    ],
    [{ waves: [{ regions: ["eu", "us"] }, { regions: ["us", "ap"] }] }, ["s.waves[1].percents[0]"]],
    [{ waves: Array.from({ length: 51 }, () => all) }, ["s.waves"]],
    [{ waves: [{ ...all, percents: Array.from({ length: 101 }, (_, n) => n) }] }, ["s.waves"]],
    [{ maxSwitchingPercent: 101 }, ["s.max_switching_percent"]],
    [{ failureBudget: { failedPercent: 101 } }, ["s.failure_budget.failed_percent"]],
    [{ failureBudget: { silentPercent: 101 } }, ["s.failure_budget.silent_percent"]],
    [{ stageTimeout: durationFromMs(0) }, ["s.stage_timeout"]],
    [{ activateTimeout: durationFromMs(35_000) }, ["s.activate_timeout"]],
    [{ timeout: minutes(11) }, ["s.timeout"]],
    [{ waves: [{ ...all, bakeTime: minutes(60) }], timeout: minutes(70) }, ["s.timeout"]],
    [{ promotion: 9 as Promotion }, ["s.promotion"]],
    [{ onFailure: 9 as OnFailure }, ["s.on_failure"]],
  ];
  for (const [change, fields] of bad) {
    assert.equal(check(change).faults, fields, JSON.stringify(change));
  }
});

test.run();
