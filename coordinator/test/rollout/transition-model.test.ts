import { Promotion } from "@slipway/proto";
import * as fc from "fast-check";
import { test } from "uvu";
import * as assert from "uvu/assert";
import {
  acceptedRegions,
  anySwitched,
  awaitsPromotion,
  isFinal,
  limitOf,
  presentStep,
  type Snapshot,
} from "../../src/rollout/snapshot.js";
import type { DeploymentEvent } from "../../src/rollout/deployment-event.js";
import { transition } from "../../src/rollout/transition.js";
import { snapshotOf, START } from "./snapshots.js";

const RUNS = 2_000;
const actors = fc.constantFrom("ann", "Ann", "bob", "");
const limits = fc.record({
  eu: fc.integer({ min: 0, max: 10_000 }),
  us: fc.integer({ min: 0, max: 10_000 }),
});

const someRegions = fc.subarray(["eu", "us"]);

const progress: fc.Arbitrary<DeploymentEvent> = fc.oneof(
  fc.constantFrom<DeploymentEvent>({ type: "staged" }, { type: "switched" }, { type: "baked" }),
  limits.map((raised): DeploymentEvent => ({ type: "raised", limits: raised })),
  fc
    .tuple(fc.constantFrom("", "frozen"), fc.boolean())
    .map(([by, held]): DeploymentEvent => ({ type: "blocked", by, held: held && by !== "" })),
  fc.tuple(fc.nat(3), someRegions).map(([hosts, regions]): DeploymentEvent => {
    return { type: "accepted", silence: { hosts, regions } };
  }),
  someRegions.map((regions): DeploymentEvent => ({ type: "returned", regions })),
);

const steering: fc.Arbitrary<DeploymentEvent> = fc.oneof(
  fc
    .tuple(actors, fc.constantFrom("REQUESTED", "HOSTS_SILENT", "REGION_SILENT"))
    .map(([actor, reason]): DeploymentEvent => ({ type: "paused", reason, actor, message: "" })),
  actors.map((actor): DeploymentEvent => ({ type: "resumed", actor, message: "" })),
  fc
    .tuple(actors, fc.integer({ min: 1, max: 5 }))
    .map(([actor, step]): DeploymentEvent => ({ type: "promoted", step, actor, message: "" })),
);

const ending: fc.Arbitrary<DeploymentEvent> = fc.oneof(
  fc.constant<DeploymentEvent>({
    type: "failed",
    failure: { reason: "HOSTS_FAILED", message: "many" },
  }),
  fc.constant<DeploymentEvent>({ type: "superseded", by: "next" }),
  fc.tuple(actors, fc.boolean()).map(([actor, keepSwitched]): DeploymentEvent => {
    return { type: "aborted", actor, message: "", keepSwitched };
  }),
);

const events = fc.array(
  fc.oneof(
    { weight: 12, arbitrary: progress },
    { weight: 4, arbitrary: steering },
    { weight: 1, arbitrary: ending },
  ),
  { maxLength: 60 },
);

const beginnings = fc.record({
  isRollback: fc.boolean(),
  promotion: fc.constantFrom(Promotion.AUTOMATIC, Promotion.MANUAL),
  approval: fc.boolean(),
  approvalFirst: fc.boolean(),
});

function begun(given: {
  isRollback: boolean;
  promotion: Promotion;
  approval: boolean;
  approvalFirst: boolean;
}): Snapshot {
  // Its strategy is never anything else.
  if (given.isRollback) return snapshotOf({ isRollback: true }, { waves: [{ regions: ["*"] }] });
  const waves = [
    { regions: ["eu"], percents: [10, 100], requiresApproval: given.approvalFirst },
    { regions: ["us"], percents: [100], requiresApproval: given.approval },
  ];
  return snapshotOf({}, { waves, promotion: given.promotion });
}

/** What is so of every deployment at any time. */
function check(snapshot: Snapshot): void {
  const { state, pause, step, steps, phase, promotedStep, finishTime, startTime } = snapshot;
  assert.is(state === "PAUSED", pause !== undefined);
  assert.is(isFinal(state), finishTime !== undefined);
  if (snapshot.heldTime !== undefined) {
    assert.ok(state === "PENDING" || state === "RUNNING");
    assert.is.not(snapshot.blockedBy, "");
  }
  assert.is(state === "FAILED", snapshot.failure !== undefined);
  assert.is(state === "SUPERSEDED", snapshot.supersededBy !== "");
  assert.ok(step >= 1 && step <= steps.length);
  assert.ok(promotedStep <= step);
  assert.is(anySwitched(snapshot), startTime !== undefined);
  if (state === "PENDING") assert.not.ok(anySwitched(snapshot));
  if (state === "RUNNING" || state === "SUCCEEDED") assert.ok(anySwitched(snapshot));
  if (state === "SUCCEEDED") assert.equal([step, phase], [steps.length, "BAKING"]);
  const waits = awaitsPromotion(snapshot);
  if (state === "WAITING") assert.ok(waits && phase === "STAGING");
  // Nobody gets past a gate without a promotion.
  if (state === "RUNNING" || phase !== "STAGING") assert.not.ok(waits);
}

/** What is so of every change. */
function checkChange(before: Snapshot, event: DeploymentEvent, next: Snapshot): void {
  for (const region of before.regions) {
    assert.ok(limitOf(next, region) >= limitOf(before, region), "a limit fell");
    assert.ok(limitOf(next, region) <= 10_000);
    // Neither what is paused nor what waits or is over tells any further host to switch.
    const isOwed = next.state === "SUCCEEDED" && acceptedRegions(before).includes(region);
    if (next.state !== "RUNNING" && !isOwed) {
      assert.is(limitOf(next, region), limitOf(before, region));
    }
    // Whoever was gone on without comes to what has succeeded.
    if (isOwed) assert.is(limitOf(next, region), 10_000);
  }
  assert.ok(next.step === before.step || next.step === before.step + 1);
  assert.ok(next.deadline >= before.deadline || before.startTime === undefined);
  if (before.state === "PAUSED" && !isFinal(next.state)) {
    assert.ok(["resumed", "paused", "blocked"].includes(event.type));
    if (event.type === "blocked") assert.equal({ ...next, blockedBy: before.blockedBy }, before);
  }
  if (event.type === "promoted" && presentStep(before).requiresApproval) {
    assert.not.equal(event.actor.toLowerCase(), before.creator);
    assert.is.not(event.actor, "");
  }
}

test("whatever happens in whatever order, a deployment stays in order", () => {
  fc.assert(
    fc.property(beginnings, events, (beginning, happening) => {
      let snapshot = begun(beginning);
      let now = START;
      check(snapshot);
      for (const event of happening) {
        now += 1_000;
        const outcome = transition(snapshot, event, now);
        const over = isFinal(snapshot.state);
        if (outcome.kind !== "changed") {
          // Only what people ask for can be refused, and an end cannot while it is not over.
          if (outcome.kind === "refused") {
            assert.ok(over || event.type === "promoted");
            assert.ok(["paused", "resumed", "promoted", "aborted"].includes(event.type));
          }
          assert.not.ok(!over && event.type === "aborted", "abort always wins");
          continue;
        }
        assert.not.ok(over, "what is over does not change");
        check(outcome.next);
        checkChange(snapshot, event, outcome.next);
        if (outcome.rollBack) {
          assert.ok(anySwitched(snapshot) && isFinal(outcome.next.state));
          assert.ok(event.type === "aborted" || !snapshot.isRollback);
        }
        if (outcome.next.state !== snapshot.state) assert.ok(outcome.note, "an audit entry");
        snapshot = outcome.next;
      }
    }),
    { numRuns: RUNS },
  );
});

test("the same event again changes nothing, and is at most refused", () => {
  fc.assert(
    fc.property(beginnings, events, (beginning, happening) => {
      let snapshot = begun(beginning);
      for (const event of happening) {
        const outcome = transition(snapshot, event, START);
        if (outcome.kind !== "changed") continue;
        snapshot = outcome.next;
        const again = transition(snapshot, event, START);
        // The next step's staging, switching or baking is another one.
        if (!["baked", "staged", "switched"].includes(event.type)) {
          assert.is.not(again.kind, "changed");
        }
      }
    }),
    { numRuns: RUNS },
  );
});

test.run();
