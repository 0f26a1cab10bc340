import { generateKeyPairSync } from "node:crypto";
import { Goal, Release, SignedGoal, type ApplicationGoal } from "@slipway/proto";
import { test } from "uvu";
import * as assert from "uvu/assert";
import {
  applicationGoalOf,
  GOAL_VALIDITY_MS,
  limitsOfSource,
  type AnyGoalSource,
  type GoalSource,
} from "../../src/goal/goal.js";
import { GOAL_RENEWAL_MS, MAX_GENERATION, planProjection } from "../../src/goal/plan-projection.js";
import { createGoalSigner, type GoalSigner } from "../../src/goal/signing.js";

const now = new Date("2030-01-01T00:00:00Z");
const newSigner = (): GoalSigner => {
  const { privateKey } = generateKeyPairSync("ed25519");
  return createGoalSigner(String(privateKey.export({ type: "pkcs8", format: "pem" })));
};
const signer = newSigner();

const source: GoalSource = {
  application: "web",
  generation: 7,
  deploymentId: "d7",
  regions: ["eu", "us"],
  selector: { tier: "front" },
  run: Release.fromPartial({ buildId: "b2" }),
  previous: undefined,
  limits: { eu: 2_500, us: 0 },
  removedRegions: ["ap"],
  holds: false,
};
const removal: AnyGoalSource = {
  application: "web",
  generation: 8,
  deploymentId: "r8",
  regions: ["eu"],
  removed: true,
};

const goalOf = (change: Partial<GoalSource> = {}, by = signer, at = now): ApplicationGoal =>
  applicationGoalOf({ ...source, ...change }, by, at);
const withRegion = (region: string, signed: SignedGoal): ApplicationGoal => {
  const goal = goalOf();
  return { ...goal, regions: { ...goal.regions, [region]: signed } };
};
const part = (goal: ApplicationGoal, region: string): SignedGoal =>
  goal.regions[region] ?? SignedGoal.fromPartial({});

const forged = withRegion("us", { ...part(goalOf(), "us"), signature: Buffer.alloc(64) });
const swapped = withRegion("us", part(goalOf(), "eu"));
const elsewhere = withRegion("us", part(goalOf({ application: "mail" }), "us"));
const runningOut = new Date(now.getTime() - GOAL_VALIDITY_MS + GOAL_RENEWAL_MS - 1);

const CASES: [name: string, present: ApplicationGoal | undefined, expected: string][] = [
  ["nothing", undefined, "write missing"],
  ["the same", goalOf(), "keep"],
  ["an older generation", goalOf({ generation: 6, deploymentId: "d6" }), "write older"],
  ["a higher generation", goalOf({ generation: 8, deploymentId: "d8" }), "alarm"],
  ["the same generation of another deployment", goalOf({ deploymentId: "x" }), "alarm"],
  [
    "a generation that nobody can have reached",
    goalOf({ generation: MAX_GENERATION + 1 }),
    "write nonsense",
  ],
  ["another application's goal", goalOf({ application: "mail" }), "write nonsense"],
  ["a region less", goalOf({ regions: ["eu"] }), "write incomplete"],
  ["a removed region less", goalOf({ removedRegions: [] }), "write incomplete"],
  [
    "a removed region that is told to run",
    goalOf({ regions: ["eu", "us", "ap"], removedRegions: [] }),
    "write nonsense",
  ],
  ["a removed region more", goalOf({ removedRegions: ["ap", "sa"] }), "keep"],
  ["another key", goalOf({}, newSigner()), "write key"],
  ["a signature that is not good", forged, "write nonsense"],
  ["another region's goal", swapped, "write nonsense"],
  ["another application's goal in a region", elsewhere, "write nonsense"],
  ["one that runs out", goalOf({}, signer, runningOut), "write renewal"],
  ["a lower limit", goalOf({ limits: { eu: 1_000, us: 0 } }), "write limit"],
  ["a higher limit", goalOf({ limits: { eu: 5_000, us: 0 } }), "keep"],
];

for (const [name, present, expected] of CASES) {
  test(`projecting over ${name}: ${expected}`, () => {
    const plan = planProjection(source, present, signer, now);
    assert.is(plan.action === "write" ? `write ${plan.why}` : plan.action, expected);
  });
}

/** What is written over the present value, by region: limit, or that it is removed, and time. */
function written(
  present: ApplicationGoal,
): Record<string, [limit: number | "removed", time: number]> {
  const plan = planProjection(source, present, signer, now);
  if (plan.action !== "write") throw new Error(`not written: ${plan.action}`);
  const { regions } = applicationGoalOf(plan.source, signer, plan.issueTime);
  return Object.fromEntries(
    Object.entries(regions).map(([region, { payload }]) => {
      const { bucketLimit, issueTime, removed } = Goal.decode(payload);
      return [region, [removed ? "removed" : bucketLimit, issueTime?.getTime() ?? 0]];
    }),
  );
}

test("a limit that was published is not lowered, whatever else is written", () => {
  const time = now.getTime();
  const present = goalOf({ limits: { eu: 1_000, us: 9_000 } }, signer, new Date(time - 1));
  assert.equal(written(present), {
    eu: [2_500, time],
    us: [9_000, time],
    ap: ["removed", time],
  });
});

test("what is over, or was paused by somebody, tells no further host to switch", () => {
  const published = (present: ApplicationGoal | undefined): unknown => {
    const plan = planProjection({ ...source, holds: true }, present, signer, now);
    return plan.action === "write" ? limitsOfSource(plan.source) : plan.action;
  };
  const lower = { eu: 1_000, us: 0 };
  assert.is(published(goalOf({ limits: lower })), "keep");
  assert.equal(published(goalOf({ limits: lower, removedRegions: [] })), lower);
  const higher = { eu: 5_000, us: 10 };
  assert.equal(published(goalOf({ limits: higher, removedRegions: [] })), higher);
  // It never was there: nobody has heard of it.
  assert.equal(published(goalOf({ generation: 6, deploymentId: "d6" })), {});
  // It was, and hosts have: a limit only ever rises after the goal has been published.
  assert.equal(published(undefined), source.limits);
  assert.equal(published(withRegion("us", part(goalOf({}, newSigner()), "us"))), source.limits);
});

test("a region that was removed by who knew that it had succeeded stays so; no other is taken", () => {
  const time = now.getTime();
  const earlier = new Date(time - 1);
  const limits = { eu: 1_000, us: 0 };
  const present = goalOf({ limits, removedRegions: ["ap", "sa"] }, signer, earlier);
  const told: [number | "removed", number][] = [
    [2_500, time],
    [0, time],
    ["removed", time],
  ];
  const [eu, us, ap] = told;
  assert.equal(written(present), { eu, us, ap, sa: ap });
  const older = goalOf({ generation: 6, removedRegions: ["sa"] }, signer, earlier);
  const { sa } = older.regions;
  if (sa === undefined) throw new Error("no goal of sa");
  assert.equal(written({ ...present, regions: { ...goalOf({ limits }).regions, sa } }), {
    eu: [2_500, time + 1],
    us: [0, time + 1],
    ap: ["removed", time + 1],
  });
  const running = goalOf({ regions: ["eu", "us", "sa"], limits }, signer, earlier);
  assert.equal(written(running), { eu, us, ap });
});

test("a goal is later than the one before, whatever the clocks say", () => {
  const ahead = now.getTime() + 60_000;
  const present = goalOf({ limits: { eu: 1_000, us: 0 } }, signer, new Date(ahead));
  assert.equal(written(present), {
    eu: [2_500, ahead + 1],
    us: [0, ahead + 1],
    ap: ["removed", ahead + 1],
  });
});

test("the goal of a removed application has nothing to run, and is kept", () => {
  const goal = applicationGoalOf(removal, signer, now);
  const opened = signer.open(part(goal, "eu"));
  assert.equal([opened?.removed, opened?.run, opened?.bucketLimit], [true, undefined, 0]);
  assert.is(planProjection(removal, goal, signer, now).action, "keep");
  assert.is(planProjection(removal, goalOf(), signer, now).action, "write");
});

test.run();
