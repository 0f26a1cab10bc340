import { test } from "uvu";
import * as assert from "uvu/assert";
import type { Facts } from "../../src/under-fire/facts.js";
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
};
const goal = {
  bucket: "global" as const,
  region: "eu",
  application: "shop",
  generation: 2,
  deploymentId: "d2",
  limit: 10_000,
  runDigest: "sha256:b",
  previousDigest: "sha256:a",
  isSigned: true,
};
const host = {
  host: "eu-1",
  region: "eu",
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
  deployments: [
    { ...deployment, id: "d1", generation: 1, state: "SUPERSEDED", limits: { eu: 5_000 } },
    deployment,
  ],
  deploymentChanges: [
    { id: "d1", state: "RUNNING", limits: { eu: 5_000 } },
    { id: "d1", state: "SUPERSEDED", limits: { eu: 5_000 } },
    { id: "d2", state: "PENDING", limits: { eu: 0 } },
    { id: "d2", state: "RUNNING", limits: { eu: 10_000 } },
    { id: "d2", state: "SUCCEEDED", limits: { eu: 10_000 } },
  ],
  audit: [
    { deploymentId: "d1", action: "deployment.create" },
    { deploymentId: "d1", action: "deployment.supersede" },
    { deploymentId: "d2", action: "deployment.succeed" },
  ],
  watches: [
    seen("build", "b1", "SUCCEEDED"),
    seen("deployment", "d1", "SUPERSEDED"),
    seen("deployment", "d2", "SUCCEEDED"),
  ],
  goals: [goal, { ...goal, bucket: "regional" }],
  hosts: [host],
  falls: [],
  looks: 100,
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
    "a deployment that is lost",
    { createdDeployments: ["d1", "d2", "d3"] },
    { "every deployment ends": /d3 is lost/ },
  ],
  [
    "a deployment that became another after its end, and whose limits fell",
    {
      deploymentChanges: [
        { id: "d1", state: "SUPERSEDED", limits: { eu: 5_000 } },
        { id: "d1", state: "RUNNING", limits: { eu: 4_000 } },
      ],
    },
    { "final is final, and limits never fall": /was SUPERSEDED and became RUNNING/ },
  ],
  [
    "a limit that fell",
    {
      deploymentChanges: [
        { id: "d1", state: "RUNNING", limits: { eu: 5_000 } },
        { id: "d1", state: "RUNNING", limits: {} },
      ],
    },
    { "final is final, and limits never fall": /eu fell from 5000 to 0/ },
  ],
  [
    "an end that nobody wrote down",
    { audit: well.audit.slice(0, 2) },
    { "each end is in the audit log once": /d2 is SUCCEEDED, and the audit log says nothing/ },
  ],
  [
    "an end that was written down twice",
    { audit: [...well.audit, { deploymentId: "d2", action: "deployment.fail" }] },
    { "each end is in the audit log once": /deployment.succeed, deployment.fail/ },
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
    { goals: [goal, { ...goal, bucket: "regional", generation: 1, deploymentId: "d1", limit: 9 }] },
    {
      "the goals agree with Postgres": /of generation 1 \(d1\), not 2 \(d2\)\n.*limit 9, not 10000/,
    },
  ],
  [
    "a goal that nobody signed",
    { goals: [goal, { ...goal, bucket: "regional", isSigned: false }] },
    {
      "the goals agree with Postgres": /regional goal of shop in eu is not signed/,
      "hosts run what a signed goal says": /its goal says nothing/,
    },
  ],
  [
    "a goal that is missing",
    { goals: [{ ...goal, bucket: "regional" }] },
    { "the goals agree with Postgres": /global goal of shop in eu is missing/ },
  ],
  [
    "a host with another release",
    { hosts: [{ ...host, digest: "sha256:c" }] },
    {
      "hosts run what a signed goal says":
        /has sha256:c in use; its goal says sha256:b or sha256:a/,
      "hosts run what the last goal says": /sha256:c, not sha256:b/,
    },
  ],
  [
    "a host that was put back by itself, although the deployment succeeded",
    { hosts: [{ ...host, digest: "sha256:a" }] },
    { "hosts run what the last goal says": /sha256:a, not sha256:b/ },
  ],
  [
    "a host whose release does not run",
    { hosts: [{ ...host, processes: 0 }] },
    { "hosts run what the last goal says": /its release does not run/ },
  ],
  [
    "a host with wrong bytes and a process that it should have ended",
    { hosts: [{ ...host, damage: "other bytes", strays: 1 }] },
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

const at = (generation: number, issueTimeMs: number) => ({ generation, issueTimeMs });

test("a host's place is generation, then issue time", () => {
  assert.not(isBehind(at(2, 5), at(2, 5)));
  assert.not(isBehind(at(3, 1), at(2, 5)));
  assert.ok(isBehind(at(2, 4), at(2, 5)));
  assert.ok(isBehind(at(1, 9), at(2, 5)));
});

test.run();
