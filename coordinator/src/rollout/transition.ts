import { HOST_BUCKETS } from "@slipway/proto";
import { SLIPWAY, type AuditNote, type DeploymentEvent, type Outcome } from "./deployment-event.js";
import { goesWithoutAll, limitsOfSuccess, takenBack, timeAgain } from "./left-out.js";
import {
  anySwitched,
  awaitsPromotion,
  isFinal,
  isPausedByRequest,
  limitOf,
  presentStep,
  type Limits,
  type Snapshot,
  type State,
} from "./snapshot.js";

type Changed = Extract<Outcome, { kind: "changed" }>;

const UNCHANGED: Outcome = { kind: "unchanged" };

/**
 * The one place that says how a deployment moves. Pure.
 * @param now - By the database's clock.
 * @param tookOver - One that it superseded had told hosts to switch: they are this one's to put back.
 */
export function transition(
  before: Snapshot,
  event: DeploymentEvent,
  now: number,
  tookOver = false,
): Outcome {
  if (isFinal(before.state)) return afterTheEnd(before, event);
  switch (event.type) {
    case "paused":
      return pause(before, event, now);
    case "resumed":
      return resume(before, event, now);
    case "promoted":
      return promote(before, event, now);
    case "aborted":
      return end(before, "ABORTED", now, {
        note: noteOf(event.actor, "abort", event.message, "ended by hand"),
        rollBack: !event.keepSwitched && (tookOver || anySwitched(before)),
      });
    case "superseded":
      return end({ ...before, supersededBy: event.by }, "SUPERSEDED", now, {
        note: noteOf(SLIPWAY, "supersede", "", `superseded by ${event.by}`),
        rollBack: false,
      });
    case "failed": {
      const { failure } = event;
      const { isRollback, pace } = before;
      return end({ ...before, failure }, "FAILED", now, {
        note: noteOf(SLIPWAY, "fail", "", `${failure.reason}: ${failure.message}`),
        rollBack: pace.rollBackOnFailure && !isRollback && (tookOver || anySwitched(before)),
      });
    }
    case "blocked":
      if (isPausedByRequest(before)) return heed(before, event.by);
      break;
    case "accepted":
      if (before.state === "PAUSED" || before.acceptedSilence !== "present") return UNCHANGED;
      return silently({ ...before, acceptedSilence: event.silence });
    default:
  }
  // The rest is progress, which stands still meanwhile.
  if (before.state === "PAUSED" || before.state === "WAITING") return UNCHANGED;
  return advance(before, event, now);
}

type Progress = Extract<
  DeploymentEvent,
  { type: "blocked" | "returned" | "staged" | "raised" | "switched" | "baked" }
>;

function advance(before: Snapshot, event: Progress, now: number): Outcome {
  switch (event.type) {
    case "blocked":
      return block(before, event, now);
    case "returned": {
      const next = takenBack(freed(before, now), event.regions, now);
      return next === undefined ? UNCHANGED : silently(next);
    }
    case "staged":
      if (before.phase !== "STAGING") return UNCHANGED;
      return silently({ ...freed(before, now), phase: "SWITCHING", ...since(now) });
    case "raised":
      return raise(before, event.limits, now);
    case "switched":
      if (before.phase !== "SWITCHING") return UNCHANGED;
      if (!anySwitched(before) && !goesWithoutAll(before)) return UNCHANGED;
      return silently({ ...freed(before, now), phase: "BAKING", phaseTime: now });
    case "baked":
  }
  return before.phase === "BAKING" ? finishStep(before, now) : UNCHANGED;
}

function block(
  before: Snapshot,
  { by, held }: Extract<DeploymentEvent, { type: "blocked" }>,
  now: number,
): Outcome {
  const wasHeld = before.heldTime !== undefined;
  if (before.blockedBy === by && wasHeld === held) return UNCHANGED;
  const next = held
    ? { ...before, blockedBy: by, heldTime: before.heldTime ?? now }
    : { ...freed(before, now), blockedBy: by };
  // What it was held up counts towards no timeout of the phase.
  if (by !== "" || before.phase === "BAKING") return silently(next);
  const phaseTime = before.phase === "STAGING" ? now : before.phaseTime;
  return silently({ ...next, phaseTime, raiseTime: now });
}

/** Not held up any more, by anything; what it was counts towards no deadline. */
function freed(before: Snapshot, now: number): Snapshot {
  const heldMs = before.heldTime === undefined ? 0 : now - before.heldTime;
  return { ...before, blockedBy: "", heldTime: undefined, deadline: before.deadline + heldMs };
}

/** Something is wrong that whoever paused it has to see to: told like the pause itself. */
function heed(before: Snapshot, by: string): Outcome {
  if (before.blockedBy === by) return UNCHANGED;
  return { ...silently({ ...before, blockedBy: by }), notify: by !== "" };
}

function raise(before: Snapshot, asked: Limits, now: number): Outcome {
  if (before.phase !== "SWITCHING") return UNCHANGED;
  const risen = before.regions.filter((region) => (asked[region] ?? 0) > limitOf(before, region));
  if (risen.length === 0) return UNCHANGED;
  const limits: { [region: string]: number } = { ...before.limits };
  for (const region of risen) limits[region] = Math.min(HOST_BUCKETS, asked[region] ?? 0);
  const next = { ...freed(before, now), limits, raiseTime: now };
  if (before.state !== "PENDING") return silently(next);
  const started = {
    state: "RUNNING",
    startTime: now,
    deadline: now + before.pace.timeoutMs,
  } as const;
  return changed({ ...next, ...started }, noteOf(SLIPWAY, "start", "", stepMessage(before)));
}

function finishStep(before: Snapshot, now: number): Outcome {
  if (before.step === before.steps.length) {
    if (!anySwitched(before)) return UNCHANGED;
    return end({ ...before, limits: limitsOfSuccess(before) }, "SUCCEEDED", now, {
      note: noteOf(SLIPWAY, "succeed", "", "every step is done"),
      rollBack: false,
    });
  }
  const next: Snapshot = {
    ...freed(before, now),
    step: before.step + 1,
    phase: "STAGING",
    ...since(now),
  };
  const state = resting(next);
  const message =
    state === "WAITING" ? `${stepMessage(next)} waits for promotion` : stepMessage(next);
  return changed({ ...next, state }, noteOf(SLIPWAY, "step", "", message));
}

function pause(
  before: Snapshot,
  { reason, actor, message }: Extract<DeploymentEvent, { type: "paused" }>,
  now: number,
): Outcome {
  // What somebody asked for outlasts the cause of an automatic pause.
  const isAutomatic = before.state === "PAUSED" && before.pause?.reason !== "REQUESTED";
  if (before.state === "PAUSED" && !(isAutomatic && reason === "REQUESTED")) return UNCHANGED;
  const time = before.pause?.time ?? now;
  const waitedMs = before.state === "WAITING" ? now - before.phaseTime : 0;
  const free = freed(before, now);
  return {
    ...changed(
      {
        ...free,
        state: "PAUSED",
        pause: { reason, actor, message, time },
        // It waited until now.
        deadline: free.deadline + waitedMs,
        // There is more of it, or it has lasted too long.
        acceptedSilence: reason === "REQUESTED" ? before.acceptedSilence : undefined,
      },
      noteOf(actor, "pause", reason === "REQUESTED" ? message : "", `${reason}: ${message}`),
    ),
    notify: true,
  };
}

function resume(
  before: Snapshot,
  { actor, message }: Extract<DeploymentEvent, { type: "resumed" }>,
  now: number,
): Outcome {
  if (before.pause === undefined) return UNCHANGED;
  const { reason, time } = before.pause;
  const accepts = reason !== "REQUESTED" && actor !== SLIPWAY;
  const deadline = before.deadline + (now - time);
  return changed(
    {
      ...before,
      state: resting(before),
      pause: undefined,
      // Those that are silent get their time again, should it be up.
      deadline: accepts ? Math.max(deadline, timeAgain(before, now)) : deadline,
      acceptedSilence: accepts ? "present" : before.acceptedSilence,
      ...since(now),
    },
    noteOf(actor, "resume", message, accepts ? `in spite of ${reason}` : `${reason} is over`),
  );
}

function promote(
  before: Snapshot,
  { step, actor, message }: Extract<DeploymentEvent, { type: "promoted" }>,
  now: number,
): Outcome {
  if (before.state !== "WAITING") {
    const how =
      before.promotedStep >= step ? `step ${step} was promoted already` : `it is ${before.state}`;
    return refused("NOT_WAITING", `the deployment waits for no promotion: ${how}`);
  }
  if (step !== before.step) {
    return refused(
      "NOT_WAITING",
      `it is step ${before.step} that waits for promotion, not step ${step}`,
    );
  }
  if (presentStep(before).requiresApproval) {
    if (actor.trim() === "") {
      return refused("APPROVAL_REQUIRED", `step ${step} needs an approval: say who gives it`);
    }
    if (plainName(actor) === plainName(before.creator)) {
      const who = `somebody else than its creator ${before.creator}`;
      return refused("APPROVAL_REQUIRED", `step ${step} needs the approval of ${who}`);
    }
  }
  const next: Snapshot = {
    ...before,
    promotedStep: step,
    deadline: before.deadline + (now - before.phaseTime),
    ...since(now),
  };
  const note = noteOf(actor, "promote", message, stepMessage(before));
  return changed({ ...next, state: resting(next) }, note);
}

const plainName = (name: string): string => name.normalize("NFKC").trim().toLowerCase();

/** The state of one that is neither paused nor over. */
export function resting(snapshot: Omit<Snapshot, "state">): State {
  if (snapshot.phase === "STAGING" && awaitsPromotion(snapshot)) return "WAITING";
  return anySwitched(snapshot) ? "RUNNING" : "PENDING";
}

function end(
  before: Snapshot,
  state: State,
  now: number,
  { note, rollBack }: { note: AuditNote; rollBack: boolean },
): Changed {
  const next = { ...freed(before, now), state, pause: undefined, finishTime: now };
  return { kind: "changed", next, note, rollBack, notify: true };
}

/** What is asked of a deployment that is over. */
function afterTheEnd({ state }: Snapshot, event: DeploymentEvent): Outcome {
  const asked: { [type in DeploymentEvent["type"]]?: string } = {
    paused: "paused",
    resumed: "resumed",
    promoted: "promoted",
    aborted: "aborted",
  };
  const what = asked[event.type];
  const again = event.type === "aborted" && state === "ABORTED";
  const automatic = event.type === "paused" && event.reason !== "REQUESTED";
  if (what === undefined || again || automatic) return UNCHANGED;
  return refused("DEPLOYMENT_OVER", `the deployment is ${state} and cannot be ${what} any more`);
}

function since(now: number): { phaseTime: number; raiseTime: number } {
  return { phaseTime: now, raiseTime: now };
}

function stepMessage(snapshot: Snapshot): string {
  const { percent, regions } = presentStep(snapshot);
  return `step ${snapshot.step} of ${snapshot.steps.length}: ${percent} percent of ${regions.join(", ")}`;
}

function silently(next: Snapshot): Changed {
  return changed(next, undefined);
}

function changed(next: Snapshot, note: AuditNote | undefined): Changed {
  return { kind: "changed", next, note, notify: false, rollBack: false };
}

function noteOf(actor: string, action: string, reason: string, message: string): AuditNote {
  return { actor, action, reason, message };
}

function refused(reason: string, message: string): Outcome {
  return { kind: "refused", reason, message };
}
