import { Promotion } from "@slipway/proto";
import { test } from "uvu";
import * as assert from "uvu/assert";
import type { Snapshot } from "../../src/rollout/snapshot.js";
import type { DeploymentEvent, Outcome } from "../../src/rollout/deployment-event.js";
import { transition } from "../../src/rollout/transition.js";
import { snapshotOf, START } from "./snapshots.js";

const NOW = START + 10_000;
const failure = { reason: "HOSTS_FAILED", message: "2 of 3" } as const;

const PAUSED = { reason: "REQUESTED", message: "look", actor: "bob", time: START } as const;
const SILENT = { ...PAUSED, reason: "HOSTS_SILENT", actor: "slipway" } as const;

const approval = { waves: [{ regions: ["*"], requiresApproval: true }] };
const switched = { limits: { eu: 1_000, us: 0 }, startTime: START };

const STATES = {
  pending: snapshotOf(),
  ready: snapshotOf({ phase: "SWITCHING" }),
  switching: snapshotOf({ state: "RUNNING", phase: "SWITCHING", ...switched }),
  baking: snapshotOf({ state: "RUNNING", phase: "BAKING", ...switched }),
  lastBaking: snapshotOf({ state: "RUNNING", phase: "BAKING", step: 2, ...switched }),
  bakingByHand: snapshotOf(
    { state: "RUNNING", phase: "BAKING", ...switched },
    { promotion: Promotion.MANUAL },
  ),
  waiting: snapshotOf({}, approval),
  paused: snapshotOf({ state: "PAUSED", pause: PAUSED, phase: "SWITCHING", ...switched }),
  silent: snapshotOf({ state: "PAUSED", pause: SILENT }),
  pausedWaiting: snapshotOf({ state: "PAUSED", pause: PAUSED }, approval),
  rollBack: snapshotOf({ isRollback: true }),
  stopping: snapshotOf({ state: "RUNNING", phase: "SWITCHING", ...switched }, { onFailure: 2 }),
  succeeded: snapshotOf({ state: "SUCCEEDED", ...switched }),
  aborted: snapshotOf({ state: "ABORTED", ...switched }),
} satisfies Record<string, Snapshot>;

const FREED = { type: "blocked", by: "", held: false } as const;

const EVENTS = {
  blocked: { type: "blocked", by: "frozen", held: true },
  staged: { type: "staged" },
  raised: { type: "raised", limits: { eu: 2_000 } },
  lowered: { type: "raised", limits: { eu: 0 } },
  switched: { type: "switched" },
  baked: { type: "baked" },
  failed: { type: "failed", failure },
  paused: { type: "paused", reason: "REQUESTED", actor: "bob", message: "look" },
  unheard: { type: "paused", reason: "HOSTS_SILENT", actor: "slipway", message: "3 silent" },
  resumed: { type: "resumed", actor: "bob", message: "" },
  promoted: { type: "promoted", step: 1, actor: "bob", message: "" },
  promotedByAnn: { type: "promoted", step: 1, actor: " ANN", message: "" },
  promotedByNobody: { type: "promoted", step: 1, actor: "", message: "" },
  promotedNext: { type: "promoted", step: 2, actor: "bob", message: "" },
  aborted: { type: "aborted", actor: "bob", message: "", keepSwitched: false },
  abortedKeeping: { type: "aborted", actor: "bob", message: "", keepSwitched: true },
  superseded: { type: "superseded", by: "next" },
} as const satisfies Record<string, DeploymentEvent>;

/** STATE PHASE step, what follows, or why it is refused; "-" for no change. */
function describe(outcome: Outcome): string {
  if (outcome.kind === "unchanged") return "-";
  if (outcome.kind === "refused") return outcome.reason;
  const { next, note, notify, rollBack } = outcome;
  const follows = [note?.action, notify && "told", rollBack && "back"].filter(Boolean);
  return `${next.state} ${next.phase} ${next.step}: ${follows.join(" ")}`.trim();
}

const OVER = "DEPLOYMENT_OVER";
const MOVES: Record<keyof typeof STATES, Partial<Record<keyof typeof EVENTS, string>>> = {
  pending: {
    blocked: "PENDING STAGING 1:",
    staged: "PENDING SWITCHING 1:",
    failed: "FAILED STAGING 1: fail told",
    paused: "PAUSED STAGING 1: pause told",
    unheard: "PAUSED STAGING 1: pause told",
    aborted: "ABORTED STAGING 1: abort told",
    abortedKeeping: "ABORTED STAGING 1: abort told",
    superseded: "SUPERSEDED STAGING 1: supersede told",
  },
  ready: {
    blocked: "PENDING SWITCHING 1:",
    raised: "RUNNING SWITCHING 1: start",
    failed: "FAILED SWITCHING 1: fail told",
    paused: "PAUSED SWITCHING 1: pause told",
    unheard: "PAUSED SWITCHING 1: pause told",
    aborted: "ABORTED SWITCHING 1: abort told",
    abortedKeeping: "ABORTED SWITCHING 1: abort told",
    superseded: "SUPERSEDED SWITCHING 1: supersede told",
  },
  switching: {
    blocked: "RUNNING SWITCHING 1:",
    raised: "RUNNING SWITCHING 1:",
    switched: "RUNNING BAKING 1:",
    failed: "FAILED SWITCHING 1: fail told back",
    paused: "PAUSED SWITCHING 1: pause told",
    unheard: "PAUSED SWITCHING 1: pause told",
    aborted: "ABORTED SWITCHING 1: abort told back",
    abortedKeeping: "ABORTED SWITCHING 1: abort told",
    superseded: "SUPERSEDED SWITCHING 1: supersede told",
  },
  baking: {
    blocked: "RUNNING BAKING 1:",
    baked: "RUNNING STAGING 2: step",
    failed: "FAILED BAKING 1: fail told back",
    paused: "PAUSED BAKING 1: pause told",
    unheard: "PAUSED BAKING 1: pause told",
    aborted: "ABORTED BAKING 1: abort told back",
    abortedKeeping: "ABORTED BAKING 1: abort told",
    superseded: "SUPERSEDED BAKING 1: supersede told",
  },
  lastBaking: {
    blocked: "RUNNING BAKING 2:",
    baked: "SUCCEEDED BAKING 2: succeed told",
    failed: "FAILED BAKING 2: fail told back",
    paused: "PAUSED BAKING 2: pause told",
    unheard: "PAUSED BAKING 2: pause told",
    aborted: "ABORTED BAKING 2: abort told back",
    abortedKeeping: "ABORTED BAKING 2: abort told",
    superseded: "SUPERSEDED BAKING 2: supersede told",
  },
  bakingByHand: {
    blocked: "RUNNING BAKING 1:",
    baked: "WAITING STAGING 2: step",
    failed: "FAILED BAKING 1: fail told back",
    paused: "PAUSED BAKING 1: pause told",
    unheard: "PAUSED BAKING 1: pause told",
    aborted: "ABORTED BAKING 1: abort told back",
    abortedKeeping: "ABORTED BAKING 1: abort told",
    superseded: "SUPERSEDED BAKING 1: supersede told",
  },
  waiting: {
    failed: "FAILED STAGING 1: fail told",
    paused: "PAUSED STAGING 1: pause told",
    unheard: "PAUSED STAGING 1: pause told",
    promoted: "PENDING STAGING 1: promote",
    promotedByAnn: "APPROVAL_REQUIRED",
    promotedByNobody: "APPROVAL_REQUIRED",
    aborted: "ABORTED STAGING 1: abort told",
    abortedKeeping: "ABORTED STAGING 1: abort told",
    superseded: "SUPERSEDED STAGING 1: supersede told",
  },
  paused: {
    blocked: "PAUSED SWITCHING 1: told",
    failed: "FAILED SWITCHING 1: fail told back",
    resumed: "RUNNING SWITCHING 1: resume",
    aborted: "ABORTED SWITCHING 1: abort told back",
    abortedKeeping: "ABORTED SWITCHING 1: abort told",
    superseded: "SUPERSEDED SWITCHING 1: supersede told",
  },
  silent: {
    failed: "FAILED STAGING 1: fail told",
    paused: "PAUSED STAGING 1: pause told",
    resumed: "PENDING STAGING 1: resume",
    aborted: "ABORTED STAGING 1: abort told",
    abortedKeeping: "ABORTED STAGING 1: abort told",
    superseded: "SUPERSEDED STAGING 1: supersede told",
  },
  pausedWaiting: {
    blocked: "PAUSED STAGING 1: told",
    failed: "FAILED STAGING 1: fail told",
    resumed: "WAITING STAGING 1: resume",
    aborted: "ABORTED STAGING 1: abort told",
    abortedKeeping: "ABORTED STAGING 1: abort told",
    superseded: "SUPERSEDED STAGING 1: supersede told",
  },
  rollBack: {
    blocked: "RUNNING SWITCHING 1:",
    switched: "RUNNING BAKING 1:",
    failed: "FAILED SWITCHING 1: fail told",
    paused: "PAUSED SWITCHING 1: pause told",
    unheard: "PAUSED SWITCHING 1: pause told",
    aborted: "ABORTED SWITCHING 1: abort told back",
    abortedKeeping: "ABORTED SWITCHING 1: abort told",
    superseded: "SUPERSEDED SWITCHING 1: supersede told",
  },
  stopping: {
    blocked: "RUNNING SWITCHING 1:",
    raised: "RUNNING SWITCHING 1:",
    switched: "RUNNING BAKING 1:",
    failed: "FAILED SWITCHING 1: fail told",
    paused: "PAUSED SWITCHING 1: pause told",
    unheard: "PAUSED SWITCHING 1: pause told",
    aborted: "ABORTED SWITCHING 1: abort told back",
    abortedKeeping: "ABORTED SWITCHING 1: abort told",
    superseded: "SUPERSEDED SWITCHING 1: supersede told",
  },
  succeeded: {
    paused: OVER,
    resumed: OVER,
    promoted: OVER,
    promotedByAnn: OVER,
    promotedByNobody: OVER,
    promotedNext: OVER,
    aborted: OVER,
    abortedKeeping: OVER,
  },
  aborted: {
    paused: OVER,
    resumed: OVER,
    promoted: OVER,
    promotedByAnn: OVER,
    promotedByNobody: OVER,
    promotedNext: OVER,
  },
};

for (const [name, snapshot] of Object.entries(STATES)) {
  const waits = snapshot.state === "WAITING" || ["succeeded", "aborted"].includes(name);
  for (const [what, event] of Object.entries(EVENTS)) {
    const given = MOVES[name as keyof typeof STATES][what as keyof typeof EVENTS];
    const notWaiting = event.type === "promoted" && (!waits || what === "promotedNext");
    const expected = given ?? (notWaiting ? "NOT_WAITING" : "-");
    test(`${name} × ${what} → ${expected}`, () => {
      assert.is(describe(transition(snapshot, event, NOW)), expected);
    });
  }
}

const ends = (snapshot: Snapshot, event: DeploymentEvent): string =>
  describe(transition(snapshot, event, NOW, true));

test("what it took over is put back with what it switched, or alone", () => {
  assert.equal(
    [
      ends(STATES.pending, EVENTS.aborted),
      ends(STATES.waiting, EVENTS.aborted),
      ends(STATES.switching, EVENTS.aborted),
      ends(STATES.pending, EVENTS.abortedKeeping),
      ends(STATES.pending, EVENTS.failed),
      ends(STATES.stopping, EVENTS.failed),
      ends(STATES.pending, EVENTS.superseded),
    ],
    [
      "ABORTED STAGING 1: abort told back",
      "ABORTED STAGING 1: abort told back",
      "ABORTED SWITCHING 1: abort told back",
      "ABORTED STAGING 1: abort told",
      "FAILED STAGING 1: fail told back",
      "FAILED SWITCHING 1: fail told",
      "SUPERSEDED STAGING 1: supersede told",
    ],
  );
});

function after(snapshot: Snapshot, event: DeploymentEvent, now = NOW): Snapshot {
  const outcome = transition(snapshot, event, now);
  if (outcome.kind !== "changed") throw new Error(`nothing changed: ${JSON.stringify(outcome)}`);
  return outcome.next;
}

test("time that it was paused counts towards no deadline", () => {
  const paused = after(STATES.switching, EVENTS.paused, START + 1_000);
  const resumed = after(paused, EVENTS.resumed, START + 6_000);
  assert.is(resumed.deadline, STATES.switching.deadline + 5_000);
  assert.equal([resumed.phaseTime, resumed.raiseTime], [START + 6_000, START + 6_000]);
});

test("neither does time that it waited, with pauses in between", () => {
  const paused = after(STATES.waiting, EVENTS.paused, START + 1_000);
  const resumed = after(paused, EVENTS.resumed, START + 6_000);
  const promoted = after(resumed, EVENTS.promoted, START + 8_000);
  assert.is(promoted.deadline, STATES.waiting.deadline + 8_000);
});

test("what somebody asked for outlasts an automatic pause, from its beginning", () => {
  const { pause } = after(STATES.silent, EVENTS.paused);
  assert.equal(pause, { reason: "REQUESTED", message: "look", actor: "bob", time: START });
});

test("what held a step up counts towards no time limit of its phase", () => {
  const held = after(STATES.pending, EVENTS.blocked);
  const free = after(held, FREED, NOW + 500);
  assert.equal([held.blockedBy, held.phaseTime], ["frozen", START]);
  assert.equal([free.blockedBy, free.phaseTime, free.raiseTime], ["", NOW + 500, NOW + 500]);
});

test("a time in which it is held up counts towards no deadline, whatever ends it", () => {
  for (const before of [STATES.pending, STATES.baking]) {
    const held = after(before, EVENTS.blocked, START + 1_000);
    assert.is(held.heldTime, START + 1_000);
    const other = after(held, { ...EVENTS.blocked, by: "frozen once more" }, START + 2_000);
    assert.is(other.heldTime, START + 1_000);
    const lacking = { type: "blocked", by: "not replicated", held: false } as const;
    for (const event of [FREED, lacking]) {
      const free = after(other, event, START + 6_000);
      assert.equal([free.heldTime, free.deadline], [undefined, before.deadline + 5_000]);
    }
    const paused = after(other, EVENTS.paused, START + 6_000);
    assert.equal([paused.heldTime, paused.blockedBy], [undefined, ""]);
    const resumed = after(paused, EVENTS.resumed, START + 7_000);
    assert.is(resumed.deadline, before.deadline + 6_000);
  }
});

const accepted = { type: "accepted", silence: { hosts: 3, regions: ["us"] } } as const;

test("who resumes what is paused for silence goes on in spite of it, until it is paused again", () => {
  const resumed = after(STATES.silent, EVENTS.resumed);
  assert.is(resumed.acceptedSilence, "present");
  const counted = after(resumed, accepted);
  assert.equal(counted.acceptedSilence, accepted.silence);
  assert.is(transition(counted, accepted, NOW).kind, "unchanged", "it is counted once");
  const byHand = after(after(counted, EVENTS.paused), EVENTS.resumed);
  assert.equal(byHand.acceptedSilence, accepted.silence);
  assert.is(after(counted, EVENTS.unheard).acceptedSilence, undefined);
  const byItself = after(STATES.silent, { type: "resumed", actor: "slipway", message: "" });
  assert.is(byItself.acceptedSilence, undefined);
  assert.is(after(STATES.paused, EVENTS.resumed).acceptedSilence, undefined);
});

test("regions that are heard again count again, from fetching the bytes on and with all their time", () => {
  const { pace } = STATES.silent;
  const without = after(after(STATES.silent, EVENTS.resumed), accepted);
  const late: Snapshot = { ...without, phase: "BAKING", deadline: START };
  const back = after(late, { type: "returned", regions: ["us"] });
  assert.equal(back.acceptedSilence, { hosts: 3, regions: [] });
  assert.equal([back.phase, back.phaseTime, back.raiseTime], ["STAGING", NOW, NOW]);
  assert.equal([back.state, back.limits], [late.state, late.limits], "what was done stays");
  assert.is(back.deadline, NOW + pace.activateTimeoutMs + pace.stageTimeoutMs);
  const others = transition(late, { type: "returned", regions: ["eu"] }, NOW);
  assert.is(others.kind, "unchanged");
  const rolling = after({ ...late, isRollback: true }, { type: "returned", regions: ["us"] });
  assert.is(rolling.phase, "SWITCHING");
});

test("a step without any of its regions passes, and a deployment without any host does not", () => {
  const without = { acceptedSilence: { hosts: 0, regions: ["eu"] } };
  const first = after(snapshotOf({ ...without, phase: "SWITCHING" }), { type: "switched" });
  const second = after(first, { type: "baked" });
  assert.equal([second.state, second.step, second.phase], ["PENDING", 2, "STAGING"]);
  const nobody = snapshotOf({ ...without, step: 2, phase: "BAKING" });
  assert.is(transition(nobody, { type: "baked" }, NOW).kind, "unchanged");
  const both = transition({ ...second, phase: "SWITCHING" }, { type: "switched" }, NOW);
  assert.is(both.kind, "unchanged", "us is not silent");
});

test("what has succeeded is in force in the regions that it went on without", () => {
  const done = snapshotOf({
    state: "RUNNING",
    startTime: START,
    step: 2,
    phase: "BAKING",
    limits: { eu: 10_000, us: 0 },
    acceptedSilence: { hosts: 0, regions: ["us"] },
  });
  const { state, limits } = after(done, { type: "baked" });
  assert.equal([state, limits], ["SUCCEEDED", { eu: 10_000, us: 10_000 }]);
});

test("who resumes what is paused for silence gives its hosts their time again", () => {
  const { pace } = STATES.silent;
  const late = { ...STATES.silent, deadline: START };
  const again = pace.activateTimeoutMs + pace.stageTimeoutMs;
  assert.is(after(late, EVENTS.resumed).deadline, NOW + again);
  const early = { ...late, deadline: START + again };
  assert.is(after(early, EVENTS.resumed).deadline, NOW + again);
});

test("of one that somebody paused only what is wrong is noted, and told once", () => {
  const noted = after(STATES.paused, EVENTS.blocked);
  assert.equal(noted, { ...STATES.paused, blockedBy: "frozen" });
  const over = transition(noted, FREED, NOW);
  assert.equal(over.kind === "changed" && [over.next, over.notify], [STATES.paused, false]);
});

test("the first host that switches begins the time of the whole", () => {
  const running = after(STATES.ready, EVENTS.raised);
  assert.equal([running.startTime, running.deadline], [NOW, NOW + running.pace.timeoutMs]);
  assert.equal(running.limits, { eu: 2_000, us: 0 });
});

test.run();
