import { generateKeyPairSync, type KeyObject } from "node:crypto";
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
import {
  bindingGeneration,
  GOAL_RENEWAL_MS,
  MAX_GENERATION,
  planProjection,
} from "../../src/goal/plan-projection.js";
import { createKeySigner } from "../../src/keys/signer.js";
import type { OtherGoalKeys } from "../../src/goal/sealer.js";
import { createGoalSigner, type GoalSigner } from "../../src/goal/signing.js";

const now = new Date("2030-01-01T00:00:00Z");
const publicKeys = new Map<string, KeyObject>();
const newSigner = (others?: OtherGoalKeys): GoalSigner => {
  const { privateKey } = generateKeyPairSync("ed25519");
  const key = createKeySigner(String(privateKey.export({ type: "pkcs8", format: "pem" })), "goal");
  publicKeys.set(key.keyId, key.publicKey);
  return createGoalSigner(key, others);
};
const [stolen, successor] = [newSigner(), newSigner()];
/** Of a key set that has the successor and has revoked the stolen one. */
const signer = newSigner({
  goalKey: (keyId) => (keyId === successor.keyId ? publicKeys.get(keyId) : undefined),
  isRevoked: (keyId) => keyId === stolen.keyId,
});

const source: GoalSource = {
  application: "web",
  generation: 7,
  deploymentId: "d7",
  regions: ["eu", "us"],
  selector: { tier: "front" },
  run: Release.fromPartial({ buildId: "b2" }),
  previous: undefined,
  previousGeneration: 0,
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

const goalOf = (
  change: Partial<GoalSource> = {},
  by = signer,
  at = now,
): Promise<ApplicationGoal> => applicationGoalOf({ ...source, ...change }, by, at);
const withRegion = async (region: string, signed: SignedGoal): Promise<ApplicationGoal> => {
  const goal = await goalOf();
  return { ...goal, regions: { ...goal.regions, [region]: signed } };
};
const part = (goal: ApplicationGoal, region: string): SignedGoal =>
  goal.regions[region] ?? SignedGoal.fromPartial({});

const forged = await withRegion("us", {
  ...part(await goalOf(), "us"),
  signature: Buffer.alloc(64),
});
const swapped = await withRegion("us", part(await goalOf(), "eu"));
const elsewhere = await withRegion("us", part(await goalOf({ application: "mail" }), "us"));
const runningOut = new Date(now.getTime() - GOAL_VALIDITY_MS + GOAL_RENEWAL_MS - 1);

const CASES: [name: string, present: ApplicationGoal | undefined, expected: string][] = [
  ["nothing", undefined, "write missing"],
  ["the same", await goalOf(), "keep"],
  ["an older generation", await goalOf({ generation: 6, deploymentId: "d6" }), "write older"],
  ["a higher generation", await goalOf({ generation: 8, deploymentId: "d8" }), "alarm"],
  ["the same generation of another deployment", await goalOf({ deploymentId: "x" }), "alarm"],
  [
    "a generation that nobody can have reached",
    await goalOf({ generation: MAX_GENERATION + 1 }),
    "write nonsense",
  ],
  ["another application's goal", await goalOf({ application: "mail" }), "write nonsense"],
  ["a region less", await goalOf({ regions: ["eu"] }), "write incomplete"],
  ["a removed region less", await goalOf({ removedRegions: [] }), "write incomplete"],
  [
    "a removed region that is told to run",
    await goalOf({ regions: ["eu", "us", "ap"], removedRegions: [] }),
    "write nonsense",
  ],
  ["a removed region more", await goalOf({ removedRegions: ["ap", "sa"] }), "keep"],
  ["another key", await goalOf({}, newSigner()), "write key"],
  [
    "a higher generation, by a key that was revoked",
    await goalOf({ generation: 8, deploymentId: "d8" }, stolen),
    "write nonsense",
  ],
  [
    "a higher generation, by a key that nobody knows",
    await goalOf({ generation: 8, deploymentId: "d8" }, newSigner()),
    "alarm",
  ],
  ["another key of the fleet", await goalOf({}, successor), "write key"],
  ["a signature that is not good", forged, "write nonsense"],
  ["another region's goal", swapped, "write nonsense"],
  ["another application's goal in a region", elsewhere, "write nonsense"],
  ["one that runs out", await goalOf({}, signer, runningOut), "write renewal"],
  ["a lower limit", await goalOf({ limits: { eu: 1_000, us: 0 } }), "write limit"],
  ["a higher limit", await goalOf({ limits: { eu: 5_000, us: 0 } }), "keep"],
];

for (const [name, present, expected] of CASES) {
  test(`projecting over ${name}: ${expected}`, () => {
    const plan = planProjection(source, present, signer, now);
    assert.is(plan.action === "write" ? `write ${plan.why}` : plan.action, expected);
  });
}

/** What is written over the present value, by region: limit, or that it is removed, and time. */
async function written(
  present: ApplicationGoal,
): Promise<Record<string, [limit: number | "removed", time: number]>> {
  const plan = planProjection(source, present, signer, now);
  if (plan.action !== "write") throw new Error(`not written: ${plan.action}`);
  const { regions } = await applicationGoalOf(plan.source, signer, plan.issueTime);
  return Object.fromEntries(
    Object.entries(regions).map(([region, { payload }]) => {
      const { bucketLimit, issueTime, removed } = Goal.decode(payload);
      return [region, [removed ? "removed" : bucketLimit, issueTime?.getTime() ?? 0]];
    }),
  );
}

test("a limit that was published is not lowered, whatever else is written", async () => {
  const time = now.getTime();
  const present = await goalOf({ limits: { eu: 1_000, us: 9_000 } }, signer, new Date(time - 1));
  assert.equal(await written(present), {
    eu: [2_500, time],
    us: [9_000, time],
    ap: ["removed", time],
  });
});

test("what is over, or was paused by somebody, tells no further host to switch", async () => {
  const published = (present: ApplicationGoal | undefined): unknown => {
    const plan = planProjection({ ...source, holds: true }, present, signer, now);
    return plan.action === "write" ? limitsOfSource(plan.source) : plan.action;
  };
  const lower = { eu: 1_000, us: 0 };
  assert.is(published(await goalOf({ limits: lower })), "keep");
  assert.equal(published(await goalOf({ limits: lower, removedRegions: [] })), lower);
  const higher = { eu: 5_000, us: 10 };
  assert.equal(published(await goalOf({ limits: higher, removedRegions: [] })), higher);
  // It never was there: nobody has heard of it.
  assert.equal(published(await goalOf({ generation: 6, deploymentId: "d6" })), {});
  // It was, and hosts have: a limit only ever rises after the goal has been published.
  assert.equal(published(undefined), source.limits);
  assert.equal(
    published(await withRegion("us", part(await goalOf({}, newSigner()), "us"))),
    source.limits,
  );
});

test("a region that was removed by who knew that it had succeeded stays so; no other is taken", async () => {
  const time = now.getTime();
  const earlier = new Date(time - 1);
  const limits = { eu: 1_000, us: 0 };
  const present = await goalOf({ limits, removedRegions: ["ap", "sa"] }, signer, earlier);
  const told: [number | "removed", number][] = [
    [2_500, time],
    [0, time],
    ["removed", time],
  ];
  const [eu, us, ap] = told;
  assert.equal(await written(present), { eu, us, ap, sa: ap });
  const older = await goalOf({ generation: 6, removedRegions: ["sa"] }, signer, earlier);
  const { sa } = older.regions;
  if (sa === undefined) throw new Error("no goal of sa");
  assert.equal(
    await written({ ...present, regions: { ...(await goalOf({ limits })).regions, sa } }),
    {
      eu: [2_500, time + 1],
      us: [0, time + 1],
      ap: ["removed", time + 1],
    },
  );
  const running = await goalOf({ regions: ["eu", "us", "sa"], limits }, signer, earlier);
  assert.equal(await written(running), { eu, us, ap });
});

test("what another key of the fleet has published is gone on from", async () => {
  const ahead = now.getTime() + 60_000;
  const limits = { eu: 1_000, us: 9_000 };
  const present = await goalOf(
    { limits, removedRegions: ["ap", "sa"] },
    successor,
    new Date(ahead),
  );
  const removed: [number | "removed", number] = ["removed", ahead + 1];
  assert.equal(await written(present), {
    eu: [2_500, ahead + 1],
    us: [9_000, ahead + 1],
    ap: removed,
    sa: removed,
  });
});

test("a generation counts for the next one unless who stole a key has published it", async () => {
  const high = { generation: 2 ** 40, deploymentId: "d8" };
  const of = async (by: GoalSigner): Promise<number> =>
    bindingGeneration(await goalOf(high, by), "web", signer);
  assert.equal([await of(signer), await of(successor), await of(stolen)], [2 ** 40, 2 ** 40, 0]);
  assert.is(bindingGeneration(undefined, "web", signer), 0);
  assert.is(bindingGeneration(await goalOf(), "mail", signer), 0);
});

test("a goal is later than the one before, whatever the clocks say", async () => {
  const ahead = now.getTime() + 60_000;
  const present = await goalOf({ limits: { eu: 1_000, us: 0 } }, signer, new Date(ahead));
  assert.equal(await written(present), {
    eu: [2_500, ahead + 1],
    us: [0, ahead + 1],
    ap: ["removed", ahead + 1],
  });
});

test("the goal of a removed application has nothing to run, and is kept", async () => {
  const goal = await applicationGoalOf(removal, signer, now);
  const opened = signer.open(part(goal, "eu"));
  assert.equal([opened?.removed, opened?.run, opened?.bucketLimit], [true, undefined, 0]);
  assert.is(planProjection(removal, goal, signer, now).action, "keep");
  assert.is(planProjection(removal, await goalOf(), signer, now).action, "write");
});

test.run();
