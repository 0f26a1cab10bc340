import { OnFailure, Promotion } from "@slipway/proto";
import { test } from "uvu";
import * as assert from "uvu/assert";
import { planSteps, rollBackStrategy } from "../../src/rollout/plan-steps.js";
import { strategyOf } from "./snapshots.js";

const REGIONS = ["eu", "us", "ap"];

/** "wave: percent of regions", with what each waits for. */
function plan(strategy: Parameters<typeof strategyOf>[0]): string[] {
  return planSteps(strategyOf(strategy, REGIONS), REGIONS).steps.map((step) => {
    const waits = step.requiresApproval ? " approval" : step.requiresPromotion ? " promotion" : "";
    return `${step.wave}: ${step.percent} of ${step.regions.join("+")}${waits}`;
  });
}

const CASES: [name: string, strategy: Parameters<typeof strategyOf>[0], steps: string[]][] = [
  ["nothing said", {}, ["1: 10 of eu", "2: 100 of eu+us+ap"]],
  ["one wave without percentages", { waves: [{ regions: ["*"] }] }, ["1: 100 of eu+us+ap"]],
  [
    "percentages are steps",
    {
      waves: [
        { regions: ["us"], percents: [1, 50] },
        { regions: ["*"], percents: [75, 100] },
      ],
    },
    ["1: 1 of us", "1: 50 of us", "2: 75 of eu+us+ap", "2: 100 of eu+us+ap"],
  ],
  [
    "approval is asked for once a wave",
    {
      waves: [{ regions: ["eu"] }, { regions: ["*"], percents: [50, 100], requiresApproval: true }],
    },
    ["1: 100 of eu", "2: 50 of eu+us+ap approval", "2: 100 of eu+us+ap"],
  ],
  [
    "approval of the first wave",
    { waves: [{ regions: ["*"], requiresApproval: true }] },
    ["1: 100 of eu+us+ap approval"],
  ],
  [
    "by hand every step but the first waits",
    {
      promotion: Promotion.MANUAL,
      waves: [
        { regions: ["*"], percents: [1, 10] },
        { regions: ["*"], requiresApproval: true },
      ],
    },
    ["1: 1 of eu+us+ap", "1: 10 of eu+us+ap promotion", "2: 100 of eu+us+ap approval"],
  ],
];

for (const [name, strategy, steps] of CASES) {
  test(`${name}: ${steps.join(", ")}`, () => assert.equal(plan(strategy), steps));
}

test("each step bakes as long as its wave", () => {
  const waves = [
    { regions: ["eu"], percents: [10, 100], bakeTime: { seconds: 5 } },
    { regions: ["*"], bakeTime: { seconds: 0 } },
  ];
  const { pace } = planSteps(strategyOf({ waves }, REGIONS), REGIONS);
  assert.equal(pace.bakeTimesMs, [5_000, 5_000, 0]);
});

test("a roll-back is one step, and never rolls back", () => {
  const budget = { failedPercent: 7, silentPercent: 9 };
  const strategy = strategyOf({ promotion: Promotion.MANUAL, failureBudget: budget }, REGIONS);
  const back = rollBackStrategy(strategy);
  const { steps, pace } = planSteps(back, REGIONS);
  assert.equal([back.onFailure, back.promotion], [OnFailure.STOP, Promotion.AUTOMATIC]);
  assert.equal(
    steps.map(({ percent, regions, requiresPromotion }) => [percent, regions, requiresPromotion]),
    [[100, REGIONS, false]],
  );
  assert.equal(
    [pace.maxSwitchingPercent, pace.bakeTimesMs, pace.rollBackOnFailure, pace.failedPercent],
    [100, [0], false, 7],
  );
});

test.run();
