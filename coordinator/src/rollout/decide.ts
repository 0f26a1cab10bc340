import { raiseLimit } from "./raise-limits.js";
import {
  duePercent,
  isFinal,
  isPausedByRequest,
  limitOf,
  type Failure,
  type Snapshot,
} from "./snapshot.js";
import { describeStaging, describeSwitching, samples } from "./describe.js";
import { allHeard, beyond, heardAgain, pauseFor, silenceOf, withoutAccepted } from "./silence.js";
import {
  budget,
  stepOf,
  tally,
  toldOf,
  total,
  type RegionEvidence,
  type RegionTally,
} from "./tally.js";
import { SLIPWAY, type DeploymentEvent } from "./deployment-event.js";

/** What a deployment is judged by. */
export interface Evidence {
  /** One for each region of the deployment. */
  regions: readonly RegionEvidence[];
  /** Why the goal is not in the bucket as it should be, as a sentence; undefined if it is. */
  unpublished: string | undefined;
  /**
   * Why hosts go by what the database knows nothing of, as a sentence: a later goal than this one's, or
   * what this one said when it went further. Undefined if they do not.
   */
  overtaken: string | undefined;
  /** Why this coordinator cannot tell what regions are doing, as a sentence; undefined if it can. */
  unheard: string | undefined;
  /** Freezes on the application or a region of the present step, each as a phrase. */
  freezes: readonly string[];
}

/** Says of a paused deployment what is not done about it meanwhile; without counts, which move. */
const OVER_BUDGET =
  "more hosts have failed than may: it fails when it is resumed; roll back or abort it to undo it now";

/**
 * What is to happen to a deployment by the evidence, the most urgent first; undefined for nothing
 * yet. Pure; `now` is by the database's clock.
 */
export function decide(
  snapshot: Snapshot,
  evidence: Evidence,
  now: number,
): DeploymentEvent | undefined {
  if (isFinal(snapshot.state)) return undefined;
  if (evidence.overtaken !== undefined) return waitFor(snapshot, evidence.overtaken);
  const tallies = evidence.regions.map(tally);
  const failed = tooManyFailed(snapshot, tallies);
  if (isPausedByRequest(snapshot)) {
    const by = failed === undefined ? "" : OVER_BUDGET;
    if (by === snapshot.blockedBy || (by === "" && !allHeard(snapshot, tallies))) return undefined;
    return { type: "blocked", by, held: false };
  }
  if (failed !== undefined) return failed;
  if (snapshot.state === "WAITING") return undefined;
  const silence = silenceOf(snapshot, tallies);
  if (snapshot.state === "PAUSED") {
    const still = pauseFor(silence, snapshot, tallies) !== undefined;
    if (still || !allHeard(snapshot, tallies)) return undefined;
    return { type: "resumed", actor: SLIPWAY, message: "" };
  }
  const present = withoutAccepted(snapshot, tallies);
  const hold = holdOf(snapshot, present, evidence);
  const wasHeld = snapshot.heldTime !== undefined;
  if (evidence.unheard === undefined) {
    const accepted = snapshot.acceptedSilence;
    if (accepted === "present") {
      // Whom this coordinator has just not listened to yet would be missing in it, and pause it again.
      if (!warming(stepOf(snapshot, tallies))) return { type: "accepted", silence };
    } else {
      const back = heardAgain(snapshot, tallies);
      if (back.length > 0) return { type: "returned", regions: back };
      const pause = pauseFor(beyond(silence, accepted), snapshot, tallies);
      if (pause !== undefined) return pause;
    }
  }
  if (hold.by !== snapshot.blockedBy || hold.held !== wasHeld) return { type: "blocked", ...hold };
  const next = hold.by === "" ? progress(snapshot, present, now) : undefined;
  const event = next ?? (hold.held ? undefined : overdue(snapshot, present, now));
  // Where nobody else is left to go on with, it does not fail for those that nothing is heard of.
  const isWaitedFor = present.some(({ region }) => silence.regions.includes(region));
  const waited = event?.type === "failed" && isWaitedFor;
  return waited ? pauseFor({ hosts: 0, regions: silence.regions }, snapshot, tallies) : event;
}

/**
 * Of what hosts have left behind there is nothing to judge: neither does it fail, however late it is,
 * nor is anything put back for it.
 */
function waitFor(
  { state, blockedBy, heldTime }: Snapshot,
  by: string,
): DeploymentEvent | undefined {
  if (state === "PAUSED" || state === "WAITING") return undefined;
  if (blockedBy === by && heldTime !== undefined) return undefined;
  return { type: "blocked", by, held: true };
}

/** When to look again, should nothing be heard until then: the next moment at which time decides. */
export function nextLook(snapshot: Snapshot, now: number): number | undefined {
  const { state, phase, phaseTime, raiseTime, deadline, pace } = snapshot;
  if (state !== "PENDING" && state !== "RUNNING") return undefined;
  const due = {
    STAGING: phaseTime + pace.stageTimeoutMs,
    SWITCHING: raiseTime + switchTimeoutMs(snapshot),
    BAKING: phaseTime + bakeTimeMs(snapshot),
  };
  return [due[phase], deadline].filter((time) => time > now).sort((a, b) => a - b)[0];
}

/** Judged by all regions in which hosts were told to switch. */
function tooManyFailed(
  snapshot: Snapshot,
  tallies: readonly RegionTally[],
): DeploymentEvent | undefined {
  const told = toldOf(snapshot, tallies);
  const failed = total(told, "failed");
  const may = budget(total(told, "chosen"), snapshot.pace.failedPercent);
  if (failed <= may) return undefined;
  const message =
    `${failed} of ${total(told, "chosen")} hosts that were told to switch failed, ` +
    `and at most ${may} may${samples(told)}`;
  return failure({ reason: "HOSTS_FAILED", message });
}

function progress(
  snapshot: Snapshot,
  tallies: readonly RegionTally[],
  now: number,
): DeploymentEvent | undefined {
  const step = stepOf(snapshot, tallies);
  const told = toldOf(snapshot, tallies);
  switch (snapshot.phase) {
    case "STAGING":
      return stage(snapshot, step, now);
    case "SWITCHING":
      return switchOver(snapshot, step, told, now);
    case "BAKING":
  }
  return bake(snapshot, step, told, now);
}

/** What it waits for without a time limit of the phase, if anything; and whether of no other either. */
function holdOf(
  snapshot: Snapshot,
  tallies: readonly RegionTally[],
  { unheard, unpublished, freezes }: Evidence,
): { by: string; held: boolean } {
  const { phase, isRollback, overrideFreeze } = snapshot;
  if (unheard !== undefined) return { by: unheard, held: true };
  if (phase !== "BAKING" && unpublished !== undefined) return { by: unpublished, held: false };
  if (phase !== "STAGING" || isRollback) return { by: "", held: false };
  if (freezes.length > 0 && !overrideFreeze) return { by: freezes.join("; "), held: true };
  const lacking = stepOf(snapshot, tallies).filter(({ replicated, counted, unstaged }) => {
    return !replicated && !(counted && unstaged === 0);
  });
  if (lacking.length === 0) return { by: "", held: false };
  const names = lacking.map(({ region }) => region).join(", ");
  return { by: `the artifact is not complete in the store of ${names} yet`, held: false };
}

function stage(
  snapshot: Snapshot,
  step: readonly RegionTally[],
  now: number,
): DeploymentEvent | undefined {
  const { isRollback, phaseTime, pace } = snapshot;
  const lacking = step.filter(({ counted, hostCount, silent, unstaged }) => {
    return !counted || unstaged > budget(hostCount - silent, pace.failedPercent);
  });
  if (isRollback || lacking.length === 0) return { type: "staged" };
  if (now < phaseTime + pace.stageTimeoutMs || warming(step)) return undefined;
  const message = `hosts have not the bytes in time: ${describeStaging(lacking)}${samples(lacking)}`;
  return failure({ reason: "DEADLINE_EXCEEDED", message });
}

function switchOver(
  snapshot: Snapshot,
  step: readonly RegionTally[],
  told: readonly RegionTally[],
  now: number,
): DeploymentEvent | undefined {
  const { pace } = snapshot;
  const late = now >= snapshot.raiseTime + switchTimeoutMs(snapshot);
  if (late) {
    const lost = missedTheSwitch(snapshot, step, told);
    if (lost !== undefined) return lost;
  }
  const limits: { [region: string]: number } = {};
  let done = true;
  for (const region of step) {
    const limit = limitOf(snapshot, region.region);
    // Counts by an earlier limit say nothing of the hosts that this one takes.
    if (!region.counted || (region.hostCount > 0 && region.limit !== limit)) {
      done = false;
      continue;
    }
    const { hostCount, chosen: chosenCount, nextBucket } = region;
    // Those that are too late count as failed, and hold nobody up.
    const onTheWay = late ? 0 : region.onTheWay;
    const percent = duePercent(snapshot, region.region);
    const counts = { hostCount, chosenCount, onTheWay, nextBucket };
    const raised = raiseLimit(limit, percent, pace.maxSwitchingPercent, counts);
    if (raised > limit) limits[region.region] = raised;
    if (raised > limit || onTheWay > 0) done = false;
  }
  if (Object.keys(limits).length > 0) return { type: "raised", limits };
  const heard = total(step, "chosen") - total(step, "chosenSilent");
  const reported = heard > 0 || total(step, "hostCount") === 0;
  return done && reported ? { type: "switched" } : undefined;
}

/** Those that are on their way when time is up count as failed. */
function missedTheSwitch(
  snapshot: Snapshot,
  step: readonly RegionTally[],
  told: readonly RegionTally[],
): DeploymentEvent | undefined {
  if (warming([...step, ...told])) return undefined;
  const stale = step.filter(({ region, counted, hostCount, limit }) => {
    return !counted || (hostCount > 0 && limit !== limitOf(snapshot, region));
  });
  const lost = total(told, "failed") + total(told, "onTheWay");
  const may = budget(total(told, "chosen"), snapshot.pace.failedPercent);
  if (lost <= may && stale.length === 0) return undefined;
  const what = lost > may ? told.filter(({ onTheWay, failed }) => onTheWay + failed > 0) : stale;
  const message = `hosts have not switched in time: ${describeSwitching(what)}${samples(told)}`;
  return failure({ reason: "DEADLINE_EXCEEDED", message });
}

function bake(
  snapshot: Snapshot,
  step: readonly RegionTally[],
  told: readonly RegionTally[],
  now: number,
): DeploymentEvent | undefined {
  // Nobody has switched in a step that went on without all of its regions.
  if (step.length > 0 && now < snapshot.phaseTime + bakeTimeMs(snapshot)) return undefined;
  // Whether they stayed healthy is told by those who can be heard.
  if (told.some(({ counted, hostCount }) => hostCount > 0 && !counted)) return undefined;
  const last = snapshot.step === snapshot.steps.length;
  return last && total(told, "chosen") === 0 ? undefined : { type: "baked" };
}

function overdue(
  snapshot: Snapshot,
  tallies: readonly RegionTally[],
  now: number,
): DeploymentEvent | undefined {
  if (now < snapshot.deadline) return undefined;
  const { step, steps, phase, blockedBy } = snapshot;
  const regions = stepOf(snapshot, tallies);
  const describe = phase === "STAGING" ? describeStaging : describeSwitching;
  const why = blockedBy === "" ? describe(regions) : blockedBy;
  const message = `not done by the deadline, in step ${step} of ${steps.length} (${phase}): ${why}`;
  return failure({ reason: "DEADLINE_EXCEEDED", message: message + samples(regions) });
}

function failure(found: Failure): DeploymentEvent {
  return { type: "failed", failure: found };
}

function warming(tallies: readonly RegionTally[]): boolean {
  return tallies.some(({ heard }) => heard === "warming");
}

/** A roll-back's hosts may have to fetch the bytes again in this time. */
function switchTimeoutMs({ isRollback, pace }: Snapshot): number {
  return pace.activateTimeoutMs + (isRollback ? pace.stageTimeoutMs : 0);
}

function bakeTimeMs({ pace, step }: Snapshot): number {
  return pace.bakeTimesMs[step - 1] ?? 0;
}
