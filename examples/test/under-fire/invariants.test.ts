import { hostBucket } from "@slipway/agent";
import { test } from "uvu";
import * as assert from "uvu/assert";
import type { DeploymentChange, Facts } from "../../src/under-fire/facts.js";
import { isBehind } from "../../src/under-fire/host-watch.js";
import { checkInvariants } from "../../src/under-fire/invariants.js";

const build = { id: "b1", status: "SUCCEEDED", attempt: 2, artifactDigest: "sha256:b" };
const deployment = {
  id: "d2",
  application: "shop",
  generation: 2,
  state: "SUCCEEDED",
  runDigest: "sha256:b",
  previousDigest: "sha256:a",
  limits: { eu: 10_000 },
  isRollback: false,
  overridesFreeze: false,
  createTimeMs: 10_000,
};
/** A row that Postgres took of a deployment. */
const changed = (
  id: string,
  state: string,
  limit: number,
  more: Partial<DeploymentChange> = {},
) => ({
  id,
  timeMs: 10_000,
  state,
  limits: { eu: limit },
  step: 1,
  phase: "STAGING",
  regions: ["eu"],
  promotedStep: 0,
  pauseReason: undefined,
  ...more,
});
const said = (deploymentId: string, action: string) => ({ deploymentId, action, subject: "shop" });
const told = (deploymentId: string, state: string) => ({
  id: `n-${deploymentId}`,
  deploymentId,
  state,
  body: state,
  isSigned: true,
  isTaken: true,
});
const goal = {
  bucket: "global" as const,
  region: "eu",
  application: "shop",
  generation: 2,
  deploymentId: "d2",
  limit: 10_000,
  runDigest: "sha256:b",
  previousDigest: "sha256:a",
  selector: { tier: "web" },
  isRemoval: false,
  isSigned: true,
};
const host = {
  host: "eu-1",
  region: "eu",
  labels: { tier: "web", place: "first" },
  application: "shop",
  digest: "sha256:b",
  damage: undefined,
  processes: 1,
  strays: 0,
};
const seen = (what: "build" | "deployment", id: string, ...finals: string[]) => ({
  what,
  id,
  finals,
  error: undefined,
});

const removal = {
  ...goal,
  application: "gone",
  generation: 4,
  deploymentId: "r4",
  runDigest: undefined,
  previousDigest: undefined,
  isRemoval: true,
};
const absent = { ...host, application: "gone", digest: undefined, processes: 0 };

/** Facts of a run in which all went well. */
const well: Facts = {
  submittedBuilds: ["b1"],
  createdDeployments: ["d1", "d2"],
  builds: [build],
  buildChanges: [
    { ...build, status: "QUEUED", attempt: 0, artifactDigest: undefined },
    { ...build, status: "RUNNING", attempt: 1, artifactDigest: undefined },
    { ...build, status: "QUEUED", attempt: 1, artifactDigest: undefined },
    { ...build, status: "RUNNING", artifactDigest: undefined },
    build,
  ],
  leases: [
    { builder: "builder-1", id: "b1", attempt: 1 },
    { builder: "builder-2", id: "b1", attempt: 2 },
  ],
  deployments: [
    { ...deployment, id: "d1", generation: 1, state: "SUPERSEDED", limits: { eu: 5_000 } },
    deployment,
  ],
  deploymentChanges: [
    changed("d1", "RUNNING", 5_000),
    changed("d1", "SUPERSEDED", 5_000),
    changed("d2", "PENDING", 0),
    changed("d2", "RUNNING", 10_000, { phase: "SWITCHING" }),
    changed("d2", "SUCCEEDED", 10_000, { phase: "BAKING" }),
  ],
  applications: [
    { name: "shop", isRemoved: false, removalGeneration: 0, removalRegions: [] },
    { name: "gone", isRemoved: true, removalGeneration: 4, removalRegions: ["eu"] },
  ],
  freezes: [{ application: "shop", region: undefined, fromMs: 1_000, untilMs: 9_000 }],
  decommissioned: [],
  operations: [{ action: "freeze.create", subject: "shop" }],
  audit: [
    said("d1", "deployment.create"),
    said("d1", "deployment.supersede"),
    said("d2", "deployment.create"),
    said("d2", "deployment.start"),
    said("d2", "deployment.succeed"),
    { deploymentId: undefined, action: "freeze.create", subject: "shop" },
    { deploymentId: undefined, action: "build.submit", subject: "b1" },
  ],
  deliveries: [told("d1", "SUPERSEDED"), told("d2", "SUCCEEDED")],
  counts: [{ application: "shop", region: "eu", hosts: 1 }],
  switches: [{ host: "eu-1", region: "eu", application: "shop", deploymentId: "d2" }],
  watches: [
    seen("build", "b1", "SUCCEEDED"),
    seen("deployment", "d1", "SUPERSEDED"),
    seen("deployment", "d2", "SUCCEEDED"),
  ],
  goals: [goal, { ...goal, bucket: "regional" }, removal, { ...removal, bucket: "regional" }],
  hosts: [host, absent],
  falls: [],
  looks: 100,
  refusalLogs: 9,
  refusals: [],
  surprises: [],
};

test("all that went well is found well, and was looked at", () => {
  for (const { invariant, checked, violations } of checkInvariants(well)) {
    assert.equal(violations, [], invariant);
    if (invariant !== "nobody is surprised") assert.ok(checked > 0, invariant);
  }
});

const other = { ...build, attempt: 1, artifactDigest: "sha256:c" };
const broken: [what: string, change: Partial<Facts>, said: Record<string, RegExp>][] = [
  [
    "a build that was submitted and is not there",
    { submittedBuilds: ["b1", "b2"] },
    { "every build ends": /b2 is lost/ },
  ],
  [
    "a build that still runs",
    { builds: [{ ...build, status: "RUNNING" }], watches: well.watches.slice(1) },
    { "every build ends": /b1 is RUNNING/, "no watcher misses an end": /nobody watched b1/ },
  ],
  [
    "a build of which two attempts were accepted",
    { buildChanges: [other, build] },
    { "no build has two results": /SUCCEEDED of attempt 1, then SUCCEEDED of attempt 2/ },
  ],
  [
    "a host that NATS refuses",
    { refusals: ["eu-1: nats refuses this agent"] },
    { "no member is turned away": /eu-1: nats refuses/ },
  ],
  [
    "a token that was used for what it does not allow",
    {
      audit: [
        ...well.audit,
        { deploymentId: undefined, action: "token.refused", subject: "eu: /slipway.v1.X/Y: no" },
      ],
    },
    { "no member is turned away": /a token was refused: eu: .slipway/ },
  ],
  [
    "a build that went on after its end",
    { buildChanges: [build, { ...build, status: "RUNNING" }] },
    { "no build has two results": /b1 went on/ },
  ],
  [
    "a build whose artifact was replaced",
    { buildChanges: [{ ...build, artifactDigest: "sha256:c" }] },
    { "no build has two results": /another artifact/ },
  ],
  [
    "an attempt that came back",
    { buildChanges: [{ ...other, status: "RUNNING", attempt: 3 }, build] },
    { "no build has two results": /came back/ },
  ],
  [
    "an attempt that was given to two",
    { leases: [...well.leases, { builder: "builder-3", id: "b1", attempt: 2 }] },
    { "no attempt is given twice": /attempt 2 of build b1 was given to builder-2, builder-3/ },
  ],
  [
    "a deployment that is lost",
    { createdDeployments: ["d1", "d2", "d3"] },
    { "every deployment ends": /d3 is lost/ },
  ],
  [
    "a deployment that became another after its end, and whose limits fell",
    {
      deploymentChanges: [
        changed("d1", "PENDING", 0),
        changed("d1", "SUPERSEDED", 5_000),
        changed("d1", "RUNNING", 4_000),
        ...well.deploymentChanges.slice(2),
      ],
    },
    { "final is final, and limits stand or rise": /was SUPERSEDED and became RUNNING/ },
  ],
  [
    "a limit that fell",
    {
      deploymentChanges: [
        changed("d1", "RUNNING", 5_000),
        changed("d1", "SUPERSEDED", 0),
        ...well.deploymentChanges.slice(2),
      ],
    },
    { "final is final, and limits stand or rise": /eu fell from 5000 to 0/ },
  ],
  [
    "a limit that rose after the end",
    { deploymentChanges: [...well.deploymentChanges, changed("d1", "SUPERSEDED", 6_000)] },
    { "final is final, and limits stand or rise": /eu rose after its end from 5000 to 6000/ },
  ],
  [
    "a deployment and a step that began while the application was frozen, and its region",
    {
      deployments: [...well.deployments.slice(0, 1), { ...deployment, createTimeMs: 5_000 }],
      deploymentChanges: well.deploymentChanges.map((change) =>
        change.phase === "SWITCHING" ? { ...change, timeMs: 19_000 } : change,
      ),
      freezes: [
        ...well.freezes,
        { application: undefined, region: "eu", fromMs: 17_000, untilMs: 20_000 },
      ],
    },
    {
      "nothing begins while it is frozen":
        /d2 was created while shop was frozen\nstep 1 of deployment d2 began while eu was frozen/,
    },
  ],
  [
    "an end that nobody wrote down, and one that was written down twice",
    {
      audit: [
        ...well.audit.filter(({ action }) => action !== "deployment.succeed"),
        said("d1", "deployment.supersede"),
      ],
    },
    {
      "each change is in the audit log once":
        /d1, SUPERSEDED: deployment.supersede is 1 times too many.*\n.*d2, SUCCEEDED: deployment.succeed is 1 times too few/,
    },
  ],
  [
    "a pause, a promotion, a removal and a build that nobody wrote down",
    {
      deploymentChanges: [
        ...well.deploymentChanges.slice(0, 4),
        changed("d2", "PAUSED", 10_000, { pauseReason: "REQUESTED" }),
        changed("d2", "RUNNING", 10_000, { promotedStep: 1 }),
        ...well.deploymentChanges.slice(4),
      ],
      operations: [...well.operations, { action: "application.remove", subject: "gone" }],
      audit: well.audit.filter(({ action }) => action !== "build.submit"),
    },
    {
      "each change is in the audit log once":
        /pause is 1.*few[^]*resume is 1.*few[^]*promote is 1.*few[^]*remove gone is 1.*few[^]*b1: nobody/,
    },
  ],
  [
    "a hook that did not take what it was told, and one that was told what nobody signed",
    {
      deliveries: [
        { ...told("d1", "SUPERSEDED"), isTaken: false },
        told("d2", "SUCCEEDED"),
        { ...told("d2", "SUCCEEDED"), isSigned: false, body: "" },
      ],
    },
    {
      "hooks are told of every end":
        /never told that d1 is SUP.*\n.*n-d2 does not fit\n.*n-d2 was sent with/,
    },
  ],
  [
    "a host that kept what was removed, by a goal that was not written",
    {
      goals: well.goals.map((each) =>
        each.application === "gone" ? { ...each, isRemoval: false, runDigest: "sha256:b" } : each,
      ),
      hosts: [host, { ...absent, digest: "sha256:b", processes: 1 }],
    },
    {
      "the goals agree with Postgres": /of gone in eu does not say that it is removed/,
      "hosts forget what was removed": /eu-1, gone: was removed; has sha256:b/,
    },
  ],
  [
    "a host that nobody told to switch",
    {
      deployments: [
        ...well.deployments.slice(0, 1),
        { ...deployment, state: "ABORTED", limits: { eu: 0 } },
      ],
      deploymentChanges: [...well.deploymentChanges.slice(0, 3), changed("d2", "ABORTED", 0)],
      audit: well.audit.map((entry) =>
        entry.action === "deployment.succeed" ? { ...entry, action: "deployment.abort" } : entry,
      ),
      watches: [...well.watches.slice(0, 2), seen("deployment", "d2", "ABORTED")],
      deliveries: [told("d1", "SUPERSEDED"), told("d2", "ABORTED")],
      goals: well.goals.map((each) => (each.application === "shop" ? { ...each, limit: 0 } : each)),
    },
    {
      "only hosts that were told to switch": /eu-1, shop: switched for d2, as bucket \d+.* below 0/,
    },
  ],
  [
    "a host that is counted although it has another label",
    {
      hosts: [host, { ...host, host: "eu-2", labels: {}, digest: undefined, processes: 0 }, absent],
      counts: [{ application: "shop", region: "eu", hosts: 2 }],
    },
    { "hosts of the fleet are counted, and no others": /shop in eu: 2 hosts counted, of 1/ },
  ],
  [
    "watchers that saw nothing, another end, two, or gave up",
    {
      watches: [
        { ...seen("build", "b1"), error: "gone" },
        seen("deployment", "d1", "FAILED"),
        seen("deployment", "d2", "SUCCEEDED", "SUCCEEDED"),
      ],
    },
    { "no watcher misses an end": /gave up: gone\n.*saw FAILED; it is SUP.*\n.*saw SUC.*, SUC/ },
  ],
  [
    "a region whose bucket is behind",
    {
      goals: [
        ...well.goals.slice(2),
        goal,
        { ...goal, bucket: "regional", generation: 1, deploymentId: "d1", limit: 9 },
      ],
    },
    {
      "the goals agree with Postgres": /of generation 1 \(d1\), not 2 \(d2\)\n.*limit 9, not 10000/,
    },
  ],
  [
    "a goal that nobody signed",
    { goals: [...well.goals.slice(2), goal, { ...goal, bucket: "regional", isSigned: false }] },
    {
      "the goals agree with Postgres": /regional goal of shop in eu is not signed/,
      "hosts run what a signed goal says": /its goal says nothing/,
    },
  ],
  [
    "a goal that is missing",
    { goals: well.goals.slice(1) },
    { "the goals agree with Postgres": /global goal of shop in eu is missing/ },
  ],
  [
    "a host with another release",
    { hosts: [absent, { ...host, digest: "sha256:c" }] },
    {
      "hosts run what a signed goal says":
        /has sha256:c in use; its goal says sha256:b or sha256:a/,
      "hosts run what the last goal says": /sha256:c, not sha256:b/,
    },
  ],
  [
    "a host that was put back by itself, although the deployment succeeded",
    { hosts: [absent, { ...host, digest: "sha256:a" }] },
    { "hosts run what the last goal says": /sha256:a, not sha256:b/ },
  ],
  [
    "a host whose release does not run",
    { hosts: [absent, { ...host, processes: 0 }] },
    { "hosts run what the last goal says": /its release does not run/ },
  ],
  [
    "a host with wrong bytes and a process that it should have ended",
    { hosts: [absent, { ...host, damage: "other bytes", strays: 1 }] },
    { "hosts run what a signed goal says": /other bytes\n.*1 processes of releases not in use/ },
  ],
  [
    "a host that went back",
    { falls: ["eu-1, shop: from 2 to 1"] },
    { "no generation falls on a host": /from 2 to 1/ },
  ],
  ["an answer that nobody should get", { surprises: ["x"] }, { "nobody is surprised": /x/ }],
];

for (const [what, change, said] of broken) {
  test(`found: ${what}`, () => {
    const failed = checkInvariants({ ...well, ...change }).filter(
      ({ violations }) => violations.length > 0,
    );
    assert.equal(
      failed.map(({ invariant }) => invariant),
      Object.keys(said),
    );
    for (const { invariant, violations } of failed) {
      assert.match(violations.join("\n"), said[invariant] ?? /^$/);
    }
  });
}

test("hosts may run either release after a deployment that did not succeed", () => {
  const failed = { ...deployment, state: "FAILED" };
  const verdicts = checkInvariants({
    ...well,
    deployments: [...well.deployments.slice(0, 1), failed],
    hosts: [host, { ...host, host: "eu-2", digest: "sha256:a" }],
  });
  const about = verdicts.filter(({ invariant }) => invariant.startsWith("hosts run"));
  assert.equal(
    about.flatMap(({ violations }) => violations),
    [],
  );
});

test("a host may keep what an earlier goal told it to run, and nothing else", () => {
  const kept = { ...host, digest: "sha256:c" };
  const bucket = hostBucket(kept.host, "d1");
  const d0 = { ...deployment, id: "d0", generation: 0, runDigest: "sha256:a" };
  const d1 = { ...deployment, id: "d1", generation: 1, state: "SUPERSEDED", runDigest: "sha256:c" };
  const aborted = { ...deployment, state: "ABORTED", limits: { eu: 0 } };
  const faults = (limit: number, between: Partial<Facts["deployments"][number]>[] = []) =>
    violationsOf("hosts run what a signed goal says", {
      hosts: [kept],
      deployments: [
        d0,
        { ...d1, limits: { eu: limit } },
        ...between.map((each) => ({ ...d1, id: "d1b", generation: 1.5, ...each })),
        aborted,
      ],
    });
  assert.is(faults(bucket + 1), 0);
  assert.is(faults(bucket), 1, "it was not told");
  assert.is(faults(bucket + 1, [{ state: "SUPERSEDED", runDigest: "sha256:b" }]), 0);
  assert.is(faults(bucket + 1, [{ state: "SUCCEEDED", runDigest: "sha256:b" }]), 1, "it is over");
  const other = [{ ...d1, application: "gone", limits: { eu: 10_000 } }, aborted];
  const change = { hosts: [kept], deployments: other };
  assert.is(violationsOf("hosts run what a signed goal says", change), 1, "another application's");
  const back = well.applications.map((each) => ({ ...each, removalGeneration: 1.5 }));
  assert.is(
    violationsOf("hosts run what a signed goal says", {
      hosts: [kept],
      deployments: [{ ...d1, limits: { eu: 10_000 } }, aborted],
      applications: back,
    }),
    1,
    "it was removed since",
  );
});

function violationsOf(what: string, change: Partial<Facts>): number | undefined {
  const verdicts = checkInvariants({ ...well, ...change });
  return verdicts.find(({ invariant }) => invariant === what)?.violations.length;
}

test("an attempt may come again that no builder was told of", () => {
  const change = (status: string, attempt: number) => ({
    ...build,
    status,
    attempt,
    artifactDigest: undefined,
  });
  const untold = [change("RUNNING", 1), change("QUEUED", 0), change("RUNNING", 1)];
  const twoResults = "no build has two results";
  assert.is(violationsOf(twoResults, { buildChanges: [...untold, build] }), 0);
  for (const two of [
    [change("RUNNING", 2), change("QUEUED", 0)],
    [change("QUEUED", 2), change("QUEUED", 1)],
  ]) {
    assert.is(violationsOf(twoResults, { buildChanges: [...two, build] }), 1);
  }
});

test("a limit may be kept back from the buckets once its deployment was aborted", () => {
  const aborted = { ...deployment, state: "ABORTED" };
  const found = [5_000, 10_000, 10_001].map((limit) =>
    violationsOf("the goals agree with Postgres", {
      deployments: [...well.deployments.slice(0, 1), aborted],
      goals: well.goals.map((each) => (each.application === "shop" ? { ...each, limit } : each)),
    }),
  );
  assert.equal(found, [0, 0, 2]);
});

const at = (generation: number, issueTimeMs: number) => ({ generation, issueTimeMs });

test("a host's place is generation, then issue time", () => {
  assert.not(isBehind(at(2, 5), at(2, 5)));
  assert.not(isBehind(at(3, 1), at(2, 5)));
  assert.ok(isBehind(at(2, 4), at(2, 5)));
  assert.ok(isBehind(at(1, 9), at(2, 5)));
});

test.run();
