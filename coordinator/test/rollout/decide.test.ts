import { HostFailureReason, HostPhase } from "@slipway/proto";
import { test } from "uvu";
import * as assert from "uvu/assert";
import { decide, nextLook, type Evidence } from "../../src/rollout/decide.js";
import type { Phase, Snapshot } from "../../src/rollout/snapshot.js";
import type { RegionEvidence } from "../../src/rollout/tally.js";
import type { DeploymentEvent } from "../../src/rollout/deployment-event.js";
import { countReport, type Report } from "./fake-region.js";
import { snapshotOf, START } from "./snapshots.js";

const { RUNNING, STAGING, ACTIVATING, FAILED, HELD } = HostPhase;
const LATER = START + 1_000;
/** After the stage and activate timeouts, and before the whole one. */
const LATE = START + 31 * 60_000;

type Phases = Report["phases"];

/** A region of as many hosts as the phases count, at the limit. */
function region(
  name: string,
  limit: number,
  phases: Phases,
  extra: Partial<Report> & Partial<RegionEvidence> = {},
): RegionEvidence {
  const status = countReport({ application: "web", generation: 1, phases, ...extra }, limit);
  const { enrolled = status.hostCount, heard = "live", replicated = true } = extra;
  return { region: name, heard, status, enrolled, replicated };
}

const evidence = (regions: RegionEvidence[], extra: Partial<Evidence> = {}): Evidence => ({
  regions,
  unpublished: undefined,
  overtaken: undefined,
  unheard: undefined,
  freezes: [],
  ...extra,
});

/** Type and what it says, short enough for a table. */
function short(event: DeploymentEvent | undefined): string {
  if (event === undefined) return "-";
  switch (event.type) {
    case "raised":
      return `raised ${JSON.stringify(event.limits)}`;
    case "failed":
      return `failed ${event.failure.reason}`;
    case "paused":
      return `paused ${event.reason}`;
    case "blocked":
      return event.by === "" ? "freed" : "blocked";
    case "accepted":
      return [`accepted ${event.silence.hosts} hosts`, ...event.silence.regions].join(", ");
    case "returned":
      return ["returned", ...event.regions].join(" ");
    default:
      return event.type;
  }
}

// 10 percent of eu, then all of both.
const staging = snapshotOf();
const blocked = snapshotOf({ blockedBy: "frozen", heldTime: START });
const at = (eu: number, us: number, change: Partial<Snapshot> = {}): Snapshot =>
  snapshotOf({
    state: "RUNNING",
    phase: "SWITCHING",
    limits: { eu, us },
    startTime: START,
    deadline: START + 6 * 3_600_000,
    ...change,
  });
const ready = snapshotOf({ phase: "SWITCHING" });
const baking = at(1_000, 0, { phase: "BAKING" });
const second = at(5_000, 5_000, { step: 2 });
const arrived = at(10_000, 10_000, { step: 2 });
const bakingLast = at(10_000, 10_000, { step: 2, phase: "BAKING" });
const pause = (reason: "REQUESTED" | "HOSTS_SILENT" | "REGION_SILENT") =>
  at(10_000, 10_000, {
    step: 2,
    state: "PAUSED",
    pause: { reason, message: "", actor: "", time: START },
  });
/** What is said of one that somebody paused when too many have failed. */
function overBudget(): string {
  const event = decide(pause("REQUESTED"), all([[FAILED, 20]]), LATER);
  return event?.type === "blocked" ? event.by : "";
}
const back = at(10_000, 10_000, { isRollback: true });

const held20 = region("eu", 0, [[HELD, 20]]);
const usHeld = region("us", 0, [[HELD, 20]]);
const usAt = (limit: number, phases: Phases = [[RUNNING, 20]]): RegionEvidence =>
  region("us", limit, phases);
const usSilent = region("us", 0, [[HELD, 20]], { heard: "silent" });
const all = (phases: Phases, extra: Partial<Report> & Partial<RegionEvidence> = {}) =>
  evidence([region("eu", 10_000, phases, extra), usAt(10_000)]);

const lacks = "the artifact is not complete in the store of eu yet";
const freeze = { freezes: ["frozen"] };
const frozen = snapshotOf({ deadline: LATER, blockedBy: "frozen", heldTime: START });
const accepting = (hosts: number): Snapshot => ({
  ...arrived,
  acceptedSilence: { hosts, regions: [] },
});
const euAlone = evidence([
  region("eu", 5_000, [[RUNNING, 20]]),
  region("us", 5_000, [[RUNNING, 20]], { heard: "silent" }),
]);
const goingOn: Snapshot = { ...second, acceptedSilence: { hosts: 0, regions: ["us"] } };
const allToldIn = (region: "eu"): Partial<Snapshot> => ({
  limits: { ...goingOn.limits, [region]: 10_000 },
});
const stagingWithout = snapshotOf({ step: 2, acceptedSilence: { hosts: 0, regions: ["us"] } });
const withoutAll: Snapshot = {
  ...stagingWithout,
  acceptedSilence: { hosts: 0, regions: ["eu", "us"] },
};
const euDark = evidence([region("eu", 0, [[HELD, 20]], { heard: "silent" }), usHeld]);
const usDark = evidence([region("eu", 10_000, [[RUNNING, 20]]), usSilent]);
const skipping = (phase: Phase): Snapshot =>
  snapshotOf({ phase, acceptedSilence: { hosts: 0, regions: ["eu"] } });
/** All of eu is done, and us, the last, is away. */
const inLastStep = (phase: Phase): Snapshot => {
  const waves = [{ regions: ["eu"] }, { regions: ["us"] }];
  const { steps } = snapshotOf({}, { waves });
  const acceptedSilence = { hosts: 0, regions: ["us"] };
  return at(10_000, 0, { steps, step: 2, phase, acceptedSilence });
};
/** The first step went on without eu, which has been heard again since. */
const owing = snapshotOf(
  { step: 2, acceptedSilence: { hosts: 0, regions: [] } },
  { waves: [{ regions: ["eu"] }, { regions: ["us"] }] },
);
const behind = { overtaken: "the goal bucket holds generation 9" };
const gone = evidence([held20, usHeld], behind);
const leftBehind = (snapshot: Snapshot): Snapshot => ({
  ...snapshot,
  blockedBy: behind.overtaken,
  heldTime: START,
});
const deaf = evidence(
  ["eu", "us"].map((name) => region(name, 10_000, [[ACTIVATING, 20]], { heard: "warming" })),
  { unheard: "NATS is away" },
);
const heldBack = (snapshot: Snapshot): Snapshot => ({
  ...snapshot,
  blockedBy: "NATS is away",
  heldTime: START,
});

const CASES: [string, Snapshot, Evidence, number, string][] = [
  // Staging.
  ["all have the bytes", staging, evidence([held20, usHeld]), LATER, "staged"],
  [
    "another region's hosts are not waited for",
    staging,
    evidence([held20, region("us", 0, [[STAGING, 20]])]),
    LATER,
    "staged",
  ],
  [
    "one of few stages",
    staging,
    evidence([
      region("eu", 0, [
        [HELD, 19],
        [STAGING, 1],
      ]),
      usHeld,
    ]),
    LATER,
    "-",
  ],
  [
    "one of many stages, which the budget allows",
    staging,
    evidence([
      region("eu", 0, [
        [HELD, 99],
        [STAGING, 1],
      ]),
      usHeld,
    ]),
    LATER,
    "staged",
  ],
  [
    "who stages is silent",
    staging,
    evidence([
      region(
        "eu",
        0,
        [
          [HELD, 19],
          [STAGING, 1],
        ],
        { silentCount: 1 },
      ),
      usHeld,
    ]),
    LATER,
    "staged",
  ],
  [
    "an enrolled host is not counted yet",
    staging,
    evidence([region("eu", 0, [[HELD, 20]], { enrolled: 21 }), usHeld]),
    LATER,
    "-",
  ],
  [
    "staging takes too long",
    staging,
    evidence([
      region("eu", 0, [
        [HELD, 19],
        [STAGING, 1],
      ]),
      usHeld,
    ]),
    LATE,
    "failed DEADLINE_EXCEEDED",
  ],
  [
    "not while the agent is warming up",
    staging,
    evidence([region("eu", 0, [[STAGING, 20]], { heard: "warming" }), usHeld]),
    LATE,
    "-",
  ],
  ["a freeze holds", staging, evidence([held20, usHeld], { freezes: ["x"] }), LATER, "blocked"],
  [
    "the same freeze changes nothing, however late",
    blocked,
    evidence([held20, usHeld], { freezes: ["frozen"] }),
    LATE,
    "-",
  ],
  ["the freeze is over", blocked, evidence([held20, usHeld]), LATE, "freed"],
  [
    "a freeze that was overridden",
    snapshotOf({ overrideFreeze: true }),
    evidence([held20, usHeld], { freezes: ["x"] }),
    LATER,
    "staged",
  ],
  [
    "the region's store lacks the artifact",
    staging,
    evidence([region("eu", 0, [[STAGING, 20]], { replicated: false }), usHeld]),
    LATER,
    "blocked",
  ],
  [
    "but every host has it already",
    staging,
    evidence([region("eu", 0, [[HELD, 20]], { replicated: false }), usHeld]),
    LATER,
    "staged",
  ],
  [
    "the goal is not out",
    staging,
    evidence([held20, usHeld], { unpublished: "NATS is away" }),
    LATER,
    "blocked",
  ],
  [
    "never begun by the deadline",
    snapshotOf({ deadline: LATER, blockedBy: lacks }),
    evidence([region("eu", 0, [[STAGING, 20]], { replicated: false }), usHeld]),
    LATER,
    "failed DEADLINE_EXCEEDED",
  ],
  ["frozen at the deadline", frozen, evidence([held20, usHeld], freeze), LATER, "-"],
  ["and no more", frozen, evidence([held20, usHeld]), LATER, "freed"],
  [
    "frozen, as a coordinator said that lets the deadline pass",
    { ...frozen, heldTime: undefined },
    evidence([held20, usHeld], freeze),
    LATER,
    "blocked",
  ],
  // Switching.
  ["the first tenth", ready, evidence([held20, usHeld]), LATER, 'raised {"eu":1000}'],
  [
    "of two hosts the first",
    ready,
    evidence([region("eu", 0, [[HELD, 2]]), usHeld]),
    LATER,
    'raised {"eu":1000}',
  ],
  ["counts by another limit", at(1_000, 0), evidence([held20, usHeld]), LATER, "-"],
  [
    "they are on their way",
    at(1_000, 0),
    evidence([region("eu", 1_000, [[ACTIVATING, 20]]), usHeld]),
    LATER,
    "-",
  ],
  [
    "they have switched",
    at(1_000, 0),
    evidence([region("eu", 1_000, [[RUNNING, 20]]), usHeld]),
    LATER,
    "switched",
  ],
  [
    "a quarter more in each region",
    at(1_000, 0, { step: 2 }),
    evidence([region("eu", 1_000, [[RUNNING, 20]]), usHeld]),
    LATER,
    'raised {"eu":3500,"us":2500}',
  ],
  [
    "in the region that may",
    second,
    evidence([region("eu", 5_000, [[ACTIVATING, 20]]), usAt(5_000)]),
    LATER,
    'raised {"us":7500}',
  ],
  [
    "the last one",
    arrived,
    all([
      [RUNNING, 19],
      [ACTIVATING, 1],
    ]),
    LATER,
    "-",
  ],
  ["all run", arrived, all([[RUNNING, 20]]), LATER, "switched"],
  [
    "one of a hundred does not get there in time, which the budget allows",
    arrived,
    all([
      [RUNNING, 99],
      [ACTIVATING, 1],
    ]),
    LATE,
    "switched",
  ],
  [
    "many do not get there in time",
    arrived,
    all([
      [RUNNING, 90],
      [ACTIVATING, 10],
    ]),
    LATE,
    "failed DEADLINE_EXCEEDED",
  ],
  [
    "the limit never got there",
    at(1_000, 0),
    evidence([held20, usHeld]),
    LATE,
    "failed DEADLINE_EXCEEDED",
  ],
  [
    "a region without hosts owes nothing",
    arrived,
    evidence([
      region("eu", 10_000, [[RUNNING, 2]]),
      { region: "us", heard: "silent", status: undefined, enrolled: 0, replicated: true },
    ]),
    LATER,
    "switched",
  ],
  [
    "nobody has reported",
    arrived,
    evidence([
      region("eu", 10_000, [[RUNNING, 1]], { silentCount: 1 }),
      region("us", 10_000, [[RUNNING, 40]]),
    ]),
    LATER,
    "switched",
  ],
  // Failures.
  [
    "one of twenty fails",
    arrived,
    all([
      [RUNNING, 19],
      [FAILED, 1],
    ]),
    LATER,
    "failed HOSTS_FAILED",
  ],
  [
    "one of many fails",
    arrived,
    all([
      [RUNNING, 99],
      [FAILED, 1],
    ]),
    LATER,
    "switched",
  ],
  [
    "one keeps exiting",
    bakingLast,
    all([[RUNNING, 20]], { unsteadyCount: 1 }),
    LATER,
    "failed HOSTS_FAILED",
  ],
  [
    "before the others have arrived",
    at(1_000, 0),
    evidence([
      region("eu", 1_000, [
        [FAILED, 1],
        [ACTIVATING, 19],
      ]),
      usHeld,
    ]),
    LATER,
    "failed HOSTS_FAILED",
  ],
  ["while it is silent", pause("HOSTS_SILENT"), all([[FAILED, 20]]), LATER, "failed HOSTS_FAILED"],
  ["while somebody has paused it", pause("REQUESTED"), all([[FAILED, 20]]), LATER, "blocked"],
  [
    "which is said already",
    { ...pause("REQUESTED"), blockedBy: overBudget() },
    all([[FAILED, 20]]),
    LATER,
    "-",
  ],
  [
    "and is no longer so",
    { ...pause("REQUESTED"), blockedBy: overBudget() },
    all([[RUNNING, 20]]),
    LATER,
    "freed",
  ],
  // Silence.
  ["one of forty is silent", arrived, all([[RUNNING, 20]], { silentCount: 1 }), LATER, "switched"],
  [
    "many are silent",
    arrived,
    all([[RUNNING, 20]], { silentCount: 3 }),
    LATER,
    "paused HOSTS_SILENT",
  ],
  ["they are heard again", pause("HOSTS_SILENT"), all([[RUNNING, 20]]), LATER, "resumed"],
  ["they are not yet", pause("HOSTS_SILENT"), all([[RUNNING, 20]], { silentCount: 3 }), LATER, "-"],
  [
    "nothing is known of them, since another coordinator leads",
    pause("HOSTS_SILENT"),
    all([[RUNNING, 20]], { heard: "warming" }),
    LATER,
    "-",
  ],
  ["somebody paused it", pause("REQUESTED"), all([[RUNNING, 20]]), LATER, "-"],
  [
    "somebody goes on in spite of it",
    { ...arrived, acceptedSilence: "present" },
    all([[RUNNING, 20]], { silentCount: 3 }),
    LATER,
    "accepted 3 hosts",
  ],
  [
    "as many are silent still",
    accepting(3),
    all([[RUNNING, 20]], { silentCount: 3 }),
    LATER,
    "switched",
  ],
  [
    "more are",
    accepting(3),
    all([[RUNNING, 20]], { silentCount: 4 }),
    LATER,
    "paused HOSTS_SILENT",
  ],
  [
    "the others are too late all the same",
    accepting(3),
    all(
      [
        [RUNNING, 15],
        [ACTIVATING, 5],
      ],
      { silentCount: 3 },
    ),
    LATE,
    "failed DEADLINE_EXCEEDED",
  ],
  [
    "a region is, which somebody goes on without",
    { ...second, acceptedSilence: "present" },
    euAlone,
    LATER,
    "accepted 0 hosts, us",
  ],
  [
    "which is not counted before all were listened to",
    { ...second, acceptedSilence: "present" },
    evidence([
      region("eu", 5_000, [[RUNNING, 20]], { heard: "warming" }),
      region("us", 5_000, [[RUNNING, 20]], { heard: "warming" }),
    ]),
    LATE,
    "-",
  ],
  ["the other goes on", goingOn, euAlone, LATER, 'raised {"eu":7500}'],
  [
    "and is done without it",
    { ...goingOn, ...allToldIn("eu") },
    evidence([region("eu", 10_000, [[RUNNING, 20]]), usSilent]),
    LATER,
    "switched",
  ],
  [
    "which it is not before its own hosts are",
    { ...goingOn, ...allToldIn("eu") },
    evidence([region("eu", 10_000, [[ACTIVATING, 20]]), usSilent]),
    LATER,
    "-",
  ],
  [
    "and is judged by them, however late the region is",
    { ...goingOn, ...allToldIn("eu") },
    evidence([region("eu", 10_000, [[ACTIVATING, 20]]), usSilent]),
    LATE,
    "failed DEADLINE_EXCEEDED",
  ],
  [
    "and at the deadline",
    { ...goingOn, ...allToldIn("eu"), deadline: LATER },
    evidence([region("eu", 10_000, [[ACTIVATING, 20]]), usSilent]),
    LATER,
    "failed DEADLINE_EXCEEDED",
  ],
  [
    "and by those that fail",
    goingOn,
    evidence([
      region("eu", 5_000, [
        [FAILED, 1],
        [RUNNING, 19],
      ]),
      usSilent,
    ]),
    LATER,
    "failed HOSTS_FAILED",
  ],
  [
    "it bakes without it",
    { ...goingOn, ...allToldIn("eu"), phase: "BAKING" },
    evidence([region("eu", 10_000, [[RUNNING, 20]]), usSilent]),
    START + 30_000,
    "baked",
  ],
  ["a step stages without it", stagingWithout, evidence([held20, usSilent]), LATER, "staged"],
  [
    "whatever its store lacks",
    stagingWithout,
    evidence([held20, { ...usSilent, replicated: false }]),
    LATER,
    "staged",
  ],
  [
    "also while its agents are warming up",
    stagingWithout,
    evidence([held20, region("us", 0, [[STAGING, 20]], { heard: "warming" })]),
    LATER,
    "staged",
  ],
  [
    "but not without the others' bytes",
    stagingWithout,
    evidence([region("eu", 0, [[STAGING, 20]]), usSilent]),
    LATER,
    "-",
  ],
  [
    "a roll-back is done without it",
    { ...back, acceptedSilence: { hosts: 0, regions: ["us"] } },
    evidence([
      region("eu", 10_000, [[RUNNING, 20]]),
      region("us", 10_000, [[RUNNING, 20]], { heard: "silent" }),
    ]),
    LATER,
    "switched",
  ],
  [
    "another region is silent, too",
    stagingWithout,
    evidence([region("eu", 0, [[HELD, 20]], { heard: "silent" }), usSilent]),
    LATER,
    "paused REGION_SILENT",
  ],
  [
    "hosts of the other region are",
    { ...goingOn, ...allToldIn("eu") },
    evidence([region("eu", 10_000, [[RUNNING, 20]], { silentCount: 3 }), usSilent]),
    LATER,
    "paused HOSTS_SILENT",
  ],
  [
    "the region is heard again",
    goingOn,
    evidence([region("eu", 5_000, [[RUNNING, 20]]), usAt(5_000)]),
    LATER,
    "returned us",
  ],
  [
    "all of its regions are silent: it waits for them",
    withoutAll,
    evidence([region("eu", 0, [[HELD, 20]], { heard: "silent" }), usSilent]),
    LATER,
    "-",
  ],
  [
    "and is paused again in the end",
    withoutAll,
    evidence([region("eu", 0, [[HELD, 20]], { heard: "silent" }), usSilent]),
    LATE,
    "paused REGION_SILENT",
  ],
  // Steps whose regions are all silent.
  ["such a step needs no bytes", skipping("STAGING"), euDark, LATER, "staged"],
  ["no host", skipping("SWITCHING"), euDark, LATER, "switched"],
  ["and no time", skipping("BAKING"), euDark, LATER, "baked"],
  ["also as the last one", inLastStep("BAKING"), usDark, LATER, "baked"],
  [
    "a region that a step before went on without is owed it",
    { ...owing, phase: "SWITCHING" },
    evidence([held20, usHeld]),
    LATER,
    'raised {"eu":2500,"us":2500}',
  ],
  ["and is silent again", owing, euDark, LATER, "paused REGION_SILENT"],
  // Hosts obey later goals than its own: a backup was restored.
  ["hosts have left it behind", arrived, gone, LATER, "blocked"],
  ["which is said already", leftBehind(arrived), gone, LATER, "-"],
  ["at any deadline", leftBehind({ ...arrived, deadline: LATER }), gone, LATE, "-"],
  ["while it bakes", { ...bakingLast, deadline: LATER }, gone, LATE, "blocked"],
  ["whatever has failed", leftBehind(arrived), { ...all([[FAILED, 20]]), ...behind }, LATE, "-"],
  ["it is paused", pause("HOSTS_SILENT"), gone, LATE, "-"],
  // This coordinator hears nothing.
  ["the last that was heard holds no more", arrived, deaf, LATE, "blocked"],
  ["which is said already", heldBack(arrived), deaf, LATE, "-"],
  ["at any deadline", heldBack({ ...arrived, deadline: LATER }), deaf, LATE, "-"],
  ["while it bakes", bakingLast, deaf, LATE, "blocked"],
  ["it was paused for silence", pause("REGION_SILENT"), deaf, LATER, "-"],
  [
    "somebody goes on, who cannot know",
    { ...heldBack(arrived), acceptedSilence: "present" },
    deaf,
    LATER,
    "-",
  ],
  ["and hears again", heldBack(bakingLast), all([[RUNNING, 20]]), LATER, "freed"],
  ["a later region is silent", staging, evidence([held20, usSilent]), LATER, "staged"],
  [
    "the step's region is silent",
    staging,
    evidence([region("eu", 0, [[HELD, 20]], { heard: "silent" }), usHeld]),
    LATER,
    "paused REGION_SILENT",
  ],
  [
    "and is heard again",
    snapshotOf({
      state: "PAUSED",
      pause: { reason: "REGION_SILENT", message: "", actor: "", time: START },
    }),
    evidence([held20, usHeld]),
    LATER,
    "resumed",
  ],
  // Baking.
  ["it bakes", baking, evidence([region("eu", 1_000, [[RUNNING, 20]]), usHeld]), LATER, "-"],
  [
    "it has baked",
    baking,
    evidence([region("eu", 1_000, [[RUNNING, 20]]), usHeld]),
    START + 30_000,
    "baked",
  ],
  [
    "it cannot be told whether it has",
    baking,
    evidence([region("eu", 1_000, [[RUNNING, 20]], { heard: "warming" }), usHeld]),
    START + 30_000,
    "-",
  ],
  ["all has baked", bakingLast, all([[RUNNING, 20]]), START + 30_000, "baked"],
  // The whole.
  [
    "the deadline of the whole",
    at(1_000, 0, { deadline: LATER }),
    evidence([region("eu", 1_000, [[ACTIVATING, 20]]), usHeld]),
    LATER,
    "failed DEADLINE_EXCEEDED",
  ],
  [
    "is not judged while paused",
    { ...pause("REQUESTED"), deadline: LATER },
    all([
      [RUNNING, 19],
      [ACTIVATING, 1],
    ]),
    LATER,
    "-",
  ],
  ["nor while it waits", snapshotOf({ state: "WAITING" }), evidence([held20, usHeld]), LATE, "-"],
  ["what is over is over", at(1_000, 0, { state: "FAILED" }), all([[FAILED, 9]]), LATER, "-"],
  // Roll-backs.
  [
    "a roll-back's hosts fetch the bytes again",
    back,
    all([[STAGING, 20]], { replicated: false }),
    START + 35 * 60_000,
    "-",
  ],
];

for (const [name, snapshot, given, now, expected] of CASES) {
  test(`${name} → ${expected}`, () => {
    assert.is(short(decide(snapshot, given, now)), expected);
  });
}

test("nobody passes a step in which no host has reported", () => {
  const loose = { failureBudget: { failedPercent: 100, silentPercent: 100 } };
  const snapshot = snapshotOf(
    { state: "RUNNING", phase: "SWITCHING", limits: { eu: 1_000, us: 0 }, startTime: START },
    loose,
  );
  const eu = region("eu", 1_000, [[RUNNING, 5]], { silentCount: 5 });
  assert.is(decide(snapshot, evidence([eu, usHeld]), LATER), undefined);
});

test("the last step of a fleet that has no hosts any more does not pass", () => {
  const gone = evidence([region("eu", 10_000, []), region("us", 10_000, [])]);
  assert.is(decide(bakingLast, gone, START + 30_000), undefined);
});

function message(snapshot: Snapshot, given: Evidence, now: number): string {
  const event = decide(snapshot, given, now);
  if (event?.type === "failed") return event.failure.message;
  if (event?.type === "paused") return event.message;
  throw new Error(`neither a failure nor a pause: ${short(event)}`);
}

test("a failure says how many may, and names at most three hosts with their reasons", () => {
  const failures = [1, 2, 3, 4].map(
    (n) => [`eu-h${n}`, HostFailureReason.UNHEALTHY, "503"] as const,
  );
  const given = all(
    [
      [RUNNING, 16],
      [FAILED, 4],
    ],
    { failures },
  );
  assert.is(
    message(arrived, given, LATER),
    "4 of 40 hosts that were told to switch failed, and at most 0 may: " +
      "eu-h1 (UNHEALTHY: 503); eu-h2 (UNHEALTHY: 503); eu-h3 (UNHEALTHY: 503)",
  );
});

test("what takes too long says who is missing, region by region", () => {
  const slow = all([
    [RUNNING, 5],
    [ACTIVATING, 10],
    [STAGING, 5],
  ]);
  assert.is(
    message(arrived, slow, LATE),
    "hosts have not switched in time: eu: of 20 told to switch 5 running, 5 staging, 10 activating",
  );
  const unstaged = evidence([
    region("eu", 0, [
      [HELD, 5],
      [STAGING, 15],
    ]),
    usHeld,
  ]);
  assert.is(
    message(staging, unstaged, LATE),
    "hosts have not the bytes in time: eu: 15 of 20 hosts",
  );
  const overdue = { ...staging, deadline: LATER, blockedBy: lacks };
  const empty = region("eu", 0, [[STAGING, 20]], { replicated: false });
  assert.is(
    message(overdue, evidence([empty, usHeld]), LATER),
    `not done by the deadline, in step 1 of 2 (STAGING): ${lacks}`,
  );
});

test("a pause says who is silent", () => {
  assert.is(
    message(arrived, all([[RUNNING, 20]], { silentCount: 3 }), LATER),
    "3 of 40 hosts that were told to switch are silent (3 in eu), and at most 2 may be",
  );
  const dark = evidence([region("eu", 0, [[HELD, 20]], { heard: "silent" }), usHeld]);
  assert.is(message(staging, dark, LATER), "no agent is heard of in eu");
  const since = { natsAwaySince: new Date(0) };
  const cut = { ...dark, regions: dark.regions.map((one) => ({ ...one, ...since })) };
  assert.is(
    message(staging, cut, LATER),
    "the NATS of region eu has been away since 1970-01-01T00:00:00.000Z, so that its hosts are not heard",
  );
});

test("the next look is when time decides something", () => {
  assert.is(nextLook(staging, LATER), START + 30 * 60_000);
  assert.is(nextLook(ready, LATER), START + 10 * 60_000);
  assert.is(nextLook(baking, LATER), START + 30_000);
  assert.is(nextLook({ ...baking, deadline: START + 5_000 }, LATER), START + 5_000);
  assert.is(nextLook(pause("REQUESTED"), LATER), undefined);
  assert.is(nextLook(back, LATER), START + 40 * 60_000);
});

test.run();
