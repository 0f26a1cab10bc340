import {
  DeploymentState,
  DeploymentTotals,
  HostFailureReason,
  HostPhase,
  PauseReason,
  ReplicationState,
  StepPhase,
} from "@slipway/proto";
import { test } from "uvu";
import * as assert from "uvu/assert";
import { deploymentChanges } from "../src/cli/render/deployment-changes.js";
import { deploymentFrame } from "../src/cli/render/deployment-frame.js";
import { deploymentFacts } from "../src/cli/render/deployment.js";
import type { Look } from "../src/cli/render/style.js";
import { displayWidth } from "../src/cli/text.js";
import { ago, deployment, FAILING, region, STEPS, WIDE } from "./support/progress.js";

const { RUNNING, STAGING, ACTIVATING, FAILED, PENDING, HELD } = HostPhase;
const totals = undefined;
const narrow: Look = { ...WIDE, columns: 60 };
const tall = { rows: Number.POSITIVE_INFINITY };
const stepped = (more: object = {}) =>
  deployment({ steps: STEPS, step: 1, stepPhase: StepPhase.SWITCHING, ...more });

test("a frame without steps fits the terminal's width", () => {
  const regions = [
    region(
      "eu",
      [
        [RUNNING, 3],
        [STAGING, 1],
      ],
      { bytesDone: 10, bytesTotal: 4096, ...FAILING },
    ),
    region("us-west", [[PENDING, 4]]),
  ];
  assert.equal(deploymentFrame({ deployment: deployment(), regions, totals }, narrow, tall), [
    "web 0123456789ab  RUNNING for 1 min 5 s",
    "eu       [############---] 3/4 running, 1 staging, 10 B of …",
    "us-west  [...............] 0/4 running, 4 waiting",
    "# running  + activating  = staged  - staging  ! failed  ~ h…",
    "eu h9: unhealthy: 503 \\u001b[2J",
  ]);
});

test("a frame says which step, what each region may do, totals, and who is slow", () => {
  const progress = {
    deployment: stepped({ stepPhaseTime: ago(20), blockedBy: "us has not the artifact" }),
    regions: [
      region(
        "eu",
        [
          [RUNNING, 1],
          [ACTIVATING, 1],
          [HELD, 17],
          [FAILED, 1],
        ],
        { silentCount: 2, chosenUnsteadyCount: 1 },
        { bucketLimit: 1_250, replication: ReplicationState.COMPLETE },
      ),
      region(
        "us",
        [[STAGING, 4]],
        { bytesDone: 1024, bytesTotal: 4096, bytesPerSecond: 1024, slowestHosts: ["us-3", "us-1"] },
        { replication: ReplicationState.COPYING },
      ),
    ],
    totals: DeploymentTotals.fromPartial({
      hostCount: 24,
      phases: [{ phase: RUNNING, count: 1 }],
      silentCount: 2,
      bytesDone: 1024,
      bytesTotal: 4096,
      bytesPerSecond: 1024,
      eta: { seconds: 3 },
    }),
  };
  assert.equal(deploymentFrame(progress, { ...WIDE, columns: 130 }, tall), [
    "web 0123456789ab  RUNNING for 1 min 5 s",
    "step 1 of 3, wave 1 of 2: 10 % of eu, switching for 20 s",
    "held up: us has not the artifact",
    "eu  12.5 %  [#+!~~~~~~~~~~~~~~~~~~~~~~~~~~~~~] 1/20 running, 1 activating, 1 failed, 17 held back, 1 keep exiting, 2 silent",
    "us     0 %  [--------------------------------] 0/4 running, 4 staging, artifact copying, 1.0 KiB of 4.0 KiB, 1.0 KiB/s, 3 s left",
    "all: 1/24 running, 2 silent, 1.0 KiB of 4.0 KiB, 1.0 KiB/s, 3 s left",
    "# running  + activating  = staged  - staging  ! failed  ~ held back  . waiting",
    "slowest: us-3, us-1",
  ]);
});

for (const [what, more, expected] of [
  [
    "paused by somebody",
    {
      state: DeploymentState.PAUSED,
      pause: { reason: PauseReason.REQUESTED, actor: "ada", message: "look\u001b[2J" },
    },
    ["paused by ada: look\\u001b[2J", "Go on with: slipway resume d1"],
  ],
  [
    "paused by itself",
    {
      state: DeploymentState.PAUSED,
      pause: { reason: PauseReason.HOSTS_SILENT, actor: "slipway", message: "3 of 20 in eu" },
    },
    [
      "paused, because too many hosts are silent: 3 of 20 in eu",
      "See which with: slipway hosts --app web --phase silent",
      "One that is gone for good: slipway hosts decommission HOST --reason WHY",
      "Goes on by itself once they are heard; end it with: slipway abort d1",
      "Go on without them with: slipway resume d1",
    ],
  ],
  [
    "going on without regions",
    { withoutRegions: ["us", "ap\u001b[2J"] },
    ["goes on without us, ap\\u001b[2J, of which nothing was heard when it was resumed"],
  ],
  [
    "done without a region",
    { state: DeploymentState.SUCCEEDED, withoutRegions: ["us"] },
    ["succeeded without us: hosts there switch once they are back"],
  ],
  [
    "waiting for anybody",
    { state: DeploymentState.WAITING, step: 2 },
    ["waits for somebody to promote step 2", "Let it begin with: slipway promote d1"],
  ],
  [
    "waiting for approval",
    { state: DeploymentState.WAITING, step: 3, creator: "ada" },
    ["waits for somebody else than ada to promote step 3", "Let it begin with: slipway promote d1"],
  ],
] as const) {
  test(`${what}: a frame, a line and the facts say why and what to do`, () => {
    const progress = { deployment: stepped(more), regions: [region("eu", [[HELD, 4]])], totals };
    const frame = deploymentFrame(progress, WIDE, tall);
    assert.equal(frame.slice(2, 2 + expected.length), expected);
    const before = { ...progress, deployment: stepped() };
    assert.equal(deploymentChanges(before, progress, WIDE).slice(-expected.length), expected);
    assert.equal(deploymentChanges(progress, progress, WIDE), []);
    for (const line of expected) assert.ok(deploymentFacts(progress, WIDE).includes(line), line);
  });
}

/** Everything that there can be to say, of many regions. */
const crowded = {
  deployment: stepped({
    state: DeploymentState.PAUSED,
    pause: { reason: PauseReason.REQUESTED, actor: "ada", message: "x".repeat(300) },
    blockedBy: "y".repeat(300),
    stepPhaseTime: ago(3),
  }),
  regions: Array.from({ length: 12 }, (_, index) =>
    region(
      `region-with-a-name-${index}`,
      [
        [RUNNING, 3],
        [index === 7 ? FAILED : STAGING, 1],
      ],
      {
        bytesDone: 1,
        bytesTotal: 4_096,
        bytesPerSecond: 5,
        slowestHosts: ["a", "b"],
        ...(index === 7 ? FAILING : {}),
      },
    ),
  ),
  totals: DeploymentTotals.fromPartial({ hostCount: 48 }),
};

for (const rows of [1, 2, 4, 8, 12, 23, 60]) {
  test(`in ${rows} rows of any width there are no more lines, and none is wider`, () => {
    for (const columns of [20, 33, 60, 200]) {
      const look = { ...WIDE, colour: true, columns };
      const lines = deploymentFrame(crowded, look, { rows, trouble: "t".repeat(300) });
      assert.ok(lines.length <= rows, `${lines.length} lines in ${rows}`);
      for (const line of lines) {
        assert.ok(displayWidth(line) <= columns, `${columns}: ${displayWidth(line)} ${line}`);
      }
    }
  });
}

test("where there is little room, what to do and regions with faults stay", () => {
  const look = { ...WIDE, columns: 60 };
  const lines = deploymentFrame(crowded, look, { rows: 10 }).map((line) => line.slice(0, 44));
  assert.equal(lines, [
    "web 0123456789ab  PAUSED for 1 min 5 s",
    "step 1 of 3, wave 1 of 2: 10 % of eu",
    `paused by ada: ${"x".repeat(29)}`,
    "Go on with: slipway resume d1",
    `held up: ${"y".repeat(35)}`,
    "region-with-a-…     0 %  [############---] 3",
    "region-with-a-…     0 %  [############!!!] 3",
    "… and 10 more regions",
    "all: 0/48 running",
    "region-with-a-name-7 h9: unhealthy: 503 \\u00",
  ]);
});

test("a command that would be cut names the application", () => {
  const id = "01920000-0000-7000-8000-000000000001";
  const waiting = stepped({ id, state: DeploymentState.WAITING });
  const progress = { deployment: waiting, regions: [], totals };
  const shown = (columns: number) => deploymentFrame(progress, { ...WIDE, columns }, tall)[3];
  assert.is(shown(80), `Let it begin with: slipway promote ${id}`);
  assert.is(shown(70), "Let it begin with: slipway promote web");
});

test("changes: only what is new, and of counts only tenths", () => {
  const first = {
    totals,
    deployment: stepped(),
    regions: [region("eu", [[STAGING, 4]], { bytesDone: 0, bytesTotal: 100 })],
  };
  assert.equal(deploymentChanges(undefined, first, WIDE), [
    "deployment d1 of web RUNNING",
    "step 1 of 3, wave 1 of 2: 10 % of eu, switching",
    "eu: 0/4 running, 4 staging, 0 B of 100 B",
  ]);
  assert.equal(deploymentChanges(first, first, WIDE), []);
  const little = {
    ...first,
    regions: [region("eu", [[STAGING, 4]], { bytesDone: 9, bytesTotal: 100 })],
  };
  assert.equal(deploymentChanges(first, little, WIDE), []);
  const more = {
    ...first,
    regions: [region("eu", [[STAGING, 4]], { bytesDone: 10, bytesTotal: 100, ...FAILING })],
  };
  assert.equal(deploymentChanges(little, more, WIDE), [
    "eu: 0/4 running, 4 staging, 10 B of 100 B",
    "eu h9: unhealthy: 503 \\u001b[2J",
  ]);
  const baking = { ...more, deployment: stepped({ stepPhase: StepPhase.BAKING }) };
  assert.equal(deploymentChanges(more, baking, WIDE), [
    "step 1 of 3, wave 1 of 2: 10 % of eu, baking",
  ]);
  const state = DeploymentState.SUCCEEDED;
  const done = { ...baking, deployment: stepped({ state, stepPhase: StepPhase.BAKING }) };
  assert.equal(deploymentChanges(baking, done, WIDE), ["deployment d1 of web SUCCEEDED"]);
});

const at = (running: number) => ({
  totals,
  deployment: stepped(),
  regions: [
    region(
      "eu",
      [
        [RUNNING, running],
        [HELD, 10_000 - running],
      ],
      {},
      { bucketLimit: 1_000 },
    ),
  ],
});

const SILENT_EU = [region("eu", [[STAGING, 4]], {}, { silent: true })];
const OLD = "of regions and hosts this is what was last known, and their silence is not theirs";

test("what may be old is said to be, and nobody blamed for it", () => {
  const heard = { totals, deployment: deployment(), regions: SILENT_EU };
  const silent = "region silent: its agents do not answer";
  assert.match(deploymentFacts(heard, WIDE), silent);
  const old = { ...heard, unheardSince: ago(125), staleSince: ago(5) };
  const facts = deploymentFacts(old, WIDE);
  assert.not.match(facts, silent);
  const nats = `the coordinator has not heard over the global NATS for 2 min 5 s: ${OLD}`;
  assert.ok(
    facts.startsWith(`${nats}\nthe coordinator has not reached its Postgres for 5 s: `),
    facts,
  );
  const frame = deploymentFrame(old, WIDE, tall);
  assert.not.match(frame.join("\n"), silent);
  assert.is(frame.at(-2), nats);
  assert.match(frame.at(-1) ?? "", "has not reached its Postgres for 5 s");
});

test("changes: that it may be old, once, and that it is of now again", () => {
  const first = { totals, deployment: stepped(), regions: [region("eu", [[STAGING, 4]])] };
  const unheard = { ...first, regions: SILENT_EU, unheardSince: ago(5) };
  assert.equal(deploymentChanges(first, unheard, WIDE), [
    "the coordinator has not heard over the global NATS since 2026-01-01T11:59:55.000Z: " +
      "regions and hosts are shown as last known",
  ]);
  assert.equal(deploymentChanges(unheard, unheard, WIDE), []);
  const stale = { ...unheard, staleSince: ago(1) };
  assert.equal(deploymentChanges(unheard, stale, WIDE), [
    "the coordinator has not reached its Postgres since 2026-01-01T11:59:59.000Z: " +
      "this is the state of then, and is looked for again",
  ]);
  assert.equal(deploymentChanges(stale, first, WIDE), [
    "the coordinator hears over the global NATS again",
    "the coordinator reaches its Postgres again",
  ]);
  const away = [region("eu", [[STAGING, 4]], {}, { silent: true, natsAwaySince: ago(60) })];
  assert.equal(deploymentChanges(first, { ...first, regions: away }, WIDE), [
    "eu: 0/4 running, 4 staging, region silent: its NATS has been away since 2026-01-01T11:59:00.000Z",
  ]);
});

test("what a host printed before it failed keeps its lines, or is one", () => {
  const failure = {
    reason: HostFailureReason.EXITED,
    message: "its last output:\nError: no\n  at x",
  };
  const regions = [region("eu", [[FAILED, 1]], { failures: [{ hostId: "h1", failure }] })];
  const progress = { deployment: deployment(), regions, totals };
  assert.is(
    deploymentChanges(undefined, progress, WIDE).at(-1),
    "eu h1: exited: its last output:\n  Error: no\n    at x",
  );
  const line = "eu h1: exited: its last output: / Error: no / at x";
  assert.is(deploymentFrame(progress, WIDE, tall).at(-1), line);
  assert.match(deploymentFacts(progress, WIDE), `failed       ${line}\n`);
});

test("changes of a large fleet fill no log", () => {
  assert.equal(deploymentChanges(at(1_001), at(1_900), WIDE), []);
  assert.equal(deploymentChanges(at(1_900), at(2_000), WIDE), [
    "eu: 10 % switch, 2000/10000 running, 8000 held back",
  ]);
  assert.is(deploymentChanges(at(0), at(1), WIDE).length, 1);
});

test.run();
