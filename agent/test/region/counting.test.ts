import * as fc from "fast-check";
import { Goal, HostApplicationStatus, HostFailureReason, HostPhase } from "@slipway/proto";
import { suite } from "uvu";
import * as assert from "uvu/assert";
import { hostBucket } from "../../src/host/choose.js";
import { ApplicationCount } from "../../src/region/application-count.js";
import { generationsAhead, type KnownHost } from "../../src/region/known-host.js";
import { Rate } from "../../src/region/rate.js";
import { leastOf } from "../../src/region/tally.js";

const test = suite("counting hosts");

type Said = Parameters<typeof HostApplicationStatus.fromPartial>[0];

function known(hostId: string, silent: boolean, said?: Said, labels = {}): KnownHost {
  const status =
    said && HostApplicationStatus.fromPartial({ application: "web", generation: 2, ...said });
  return {
    enrolment: { hostId, region: "eu", cell: "c", labels },
    enrolled: true,
    silent,
    applications: new Map(status && [[status.application, status]]),
  };
}

const goal = Goal.fromPartial({
  application: "web",
  region: "eu",
  generation: 2,
  issueTime: new Date(1),
  deploymentId: "d",
  selector: { tier: "web" },
  bucketLimit: 10_000,
  run: { artifactSizeBytes: 100, artifactDigest: "sha256:run" },
});
const web = { tier: "web" };
const { PENDING, STAGING, STAGED, RUNNING, FAILED, HELD } = HostPhase;
const failure = { reason: HostFailureReason.EXITED, message: "m" };
const count = (hosts: Iterable<KnownHost>, by: Partial<Goal> = {}) =>
  new ApplicationCount({ ...goal, ...by }, hosts).aggregate();

test("adds up the hosts that the selector takes", () => {
  const bytes = { bytesDone: 100, bytesTotal: 100, bytesFromPeers: 60, bytesFromSeeders: 40 };
  const half = { bytesDone: 25, bytesTotal: 100, bytesFromLocal: 20, bytesFromReuse: 5 };
  const result = count([
    known("a", false, { phase: RUNNING, ...bytes, runningBuildId: "b2" }, web),
    known("b", false, { phase: STAGING, ...half, runningBuildId: "b1" }, web),
    known("c", false, { phase: RUNNING, generation: 1, ...bytes, runningBuildId: "b1" }, web),
    known("d", true, { phase: FAILED, failure, runningBuildId: "b1" }, web),
    known("e", true, undefined, web),
    known("f", false, { phase: HELD }, web),
    known("g", false, { phase: RUNNING }, { tier: "db" }),
    { ...known("h", false, { phase: RUNNING }, web), enrolled: false },
  ]);
  const phases = [
    { phase: PENDING, count: 2 },
    { phase: STAGING, count: 1 },
    { phase: RUNNING, count: 1 },
    { phase: FAILED, count: 1 },
    { phase: HELD, count: 1 },
  ];
  assert.equal(result, {
    application: "web",
    generation: 2,
    bucketLimit: 10_000,
    hostCount: 6,
    phases,
    silentCount: 2,
    bytesDone: 125,
    bytesTotal: 500,
    bytesFromPeers: 60,
    bytesFromSeeders: 40,
    bytesFromLocal: 20,
    bytesFromReuse: 5,
    failures: [{ hostId: "d", failure }],
    slowestHosts: ["c", "e", "b"],
    running: [
      { buildId: "b1", count: 3 },
      { buildId: "b2", count: 1 },
    ],
    chosenCount: 6,
    chosenPhases: phases,
    chosenSilentCount: 2,
    chosenUnsteadyCount: 0,
    chosenUnsettledCount: 3,
    nextBucket: 10_000,
    stagedCount: 2,
    unstagedCount: 2,
    staleCount: 0,
  });
});

test("tells those that are to switch from the others", () => {
  const names = Array.from({ length: 20 }, (_, index) => `h${index}`);
  const buckets = new Map(names.map((name) => [name, hostBucket(name, "d")]));
  const sorted = [...buckets.values()].sort((a, b) => a - b);
  const bucketLimit = sorted[4] ?? 0;
  const chosen = names.filter((name) => (buckets.get(name) ?? 0) < bucketLimit);
  assert.is(chosen.length, 4);
  const phaseOf = new Map<string, Said>([
    [chosen[0] ?? "", { phase: RUNNING }],
    [chosen[1] ?? "", { phase: RUNNING, failure }],
    [chosen[2] ?? "", { phase: STAGED }],
  ]);
  const hosts = names.map((name) =>
    known(name, name === chosen[3], phaseOf.get(name) ?? { phase: HELD }, web),
  );
  const result = count(hosts, { bucketLimit });
  assert.is(result.bucketLimit, bucketLimit);
  assert.is(result.chosenCount, 4);
  assert.equal(result.chosenPhases, [
    { phase: STAGED, count: 1 },
    { phase: RUNNING, count: 2 },
    { phase: HELD, count: 1 },
  ]);
  assert.is(result.chosenSilentCount, 1);
  assert.is(result.chosenUnsteadyCount, 1);
  assert.is(result.chosenUnsettledCount, 1);
  assert.is(result.nextBucket, bucketLimit);
  assert.is(count(hosts, { bucketLimit: 0 }).nextBucket, sorted[0]);
  assert.is(count(hosts, { bucketLimit: 0 }).chosenCount, 0);
  assert.is(count(hosts, { bucketLimit: (sorted[19] ?? 0) + 1 }).nextBucket, 10_000);
  assert.is(count([], { bucketLimit: 0 }).nextBucket, 10_000);
});

test("knows who has the bytes, also of those that do not speak of this goal", () => {
  const heldArtifactDigests = ["sha256:other", "sha256:run"];
  const result = count([
    known("held", false, { phase: HELD }, web),
    known("before", false, { phase: RUNNING, generation: 1, heldArtifactDigests }, web),
    known("failed", false, { phase: FAILED, failure, heldArtifactDigests }, web),
    known("staging", false, { phase: STAGING }, web),
    known("silent", true, { phase: STAGING }, web),
  ]);
  assert.equal([result.stagedCount, result.unstagedCount], [3, 1]);
});

test("hosts that forgot a removed application are in no phase", () => {
  const result = count(
    [known("a", false, undefined, web), known("b", false, { phase: RUNNING, generation: 1 }, web)],
    { removed: true, run: undefined },
  );
  assert.is(result.hostCount, 2);
  assert.equal(result.phases, [{ phase: PENDING, count: 1 }]);
  assert.equal(result.slowestHosts, []);
});

test("keeps samples bounded", () => {
  const hosts = Array.from({ length: 100 }, (_, index) =>
    known(
      `h${index}`,
      true,
      { phase: STAGING, failure, runningBuildId: `b${index}`, bytesDone: 100 - index },
      web,
    ),
  );
  const result = count(hosts);
  assert.equal(
    [result.failures.length, result.slowestHosts.length, result.running.length],
    [10, 5, 10],
  );
  assert.equal(result.slowestHosts, ["h99", "h98", "h97", "h96", "h95"]);
});

const failing = (reason: HostFailureReason, generation: number) =>
  ({ generation, phase: FAILED, failure: { reason, message: "m" } }) as const;

test("samples failures of the present goal, and refusals of it", () => {
  const { failures } = count([
    known("before", false, failing(HostFailureReason.EXITED, 1), web),
    known("now", false, failing(HostFailureReason.UNHEALTHY, 2), web),
    known("refuses", false, failing(HostFailureReason.GOAL_REFUSED, 1), web),
  ]);
  assert.equal(
    failures.map(({ hostId }) => hostId),
    ["now", "refuses"],
  );
});

test("a goal that was refused says nothing against what runs; a stale one is counted", () => {
  for (const reason of [HostFailureReason.GOAL_REFUSED, HostFailureReason.GOAL_KEY_NOT_TRUSTED]) {
    const said = { phase: RUNNING, failure: { reason, message: "m" }, goalStale: true };
    const result = count([known("h1", false, said, web), known("h2", false, said, web)]);
    assert.equal([result.chosenUnsteadyCount, result.failures.length], [0, 2]);
    assert.is(result.staleCount, 2);
  }
});

const anyHost = fc
  .record({
    id: fc.nat(8),
    silent: fc.boolean(),
    enrolled: fc.boolean(),
    taken: fc.boolean(),
    said: fc.option(
      fc.record({
        generation: fc.integer({ min: 1, max: 3 }),
        phase: fc.constantFrom(PENDING, STAGING, STAGED, RUNNING, FAILED, HELD),
        bytesDone: fc.nat(100),
        runningBuildId: fc.constantFrom("", "b1", "b2"),
        failing: fc.boolean(),
        held: fc.boolean(),
      }),
      { nil: undefined },
    ),
  })
  .map(({ id, silent, enrolled, taken, said }) => ({
    ...known(
      `h${id}`,
      silent,
      said && {
        ...said,
        bytesTotal: 100,
        heldArtifactDigests: said.held ? ["sha256:run"] : [],
        ...(said.failing && { failure }),
      },
      taken ? web : {},
    ),
    enrolled,
  }));

test("what is counted change by change is what is counted at once", () => {
  fc.assert(
    fc.property(
      fc.array(anyHost, { maxLength: 40 }),
      fc.array(fc.integer({ min: 0, max: 10_000 }), { minLength: 1, maxLength: 4 }),
      (changes, limits) => {
        const hosts = new Map<string, KnownHost>();
        let [first = 0, ...later] = limits.sort((a, b) => a - b);
        let counted = new ApplicationCount({ ...goal, bucketLimit: first }, []);
        for (const [index, host] of changes.entries()) {
          hosts.set(host.enrolment.hostId, host);
          counted.update(host);
          const bucketLimit = index % 10 === 9 ? later.shift() : undefined;
          if (bucketLimit === undefined) continue;
          first = bucketLimit;
          counted = new ApplicationCount({ ...goal, bucketLimit }, hosts.values(), counted);
        }
        const sorted = ({ failures, ...same }: ReturnType<typeof count>) => ({
          ...same,
          failures: failures.sort((a, b) => (a.hostId < b.hostId ? -1 : 1)),
        });
        assert.equal(
          sorted(counted.aggregate()),
          sorted(count(hosts.values(), { bucketLimit: first })),
        );
      },
    ),
  );
});

test("the least of many, equal ones by name", () => {
  const values = fc.dictionary(fc.string(), fc.nat(5));
  fc.assert(
    fc.property(values, fc.integer({ min: 1, max: 6 }), (record, max) => {
      const all = Object.entries(record);
      const sorted = all.sort(([a, x], [b, y]) => x - y || (a < b ? -1 : 1));
      assert.equal(
        leastOf(new Map(Object.entries(record)), max),
        sorted.slice(0, max).map(([name]) => name),
      );
    }),
  );
});

test("sees generations ahead of the goals", () => {
  const hosts = [
    known("a", false, { generation: 5 }),
    known("b", false, { generation: 7 }),
    known("c", false, { generation: 1, application: "api" }),
    known("d", false, { generation: 3, application: "lost" }),
  ];
  const goals = new Map([
    ["web", goal],
    ["api", { ...goal, application: "api" }],
  ]);
  assert.equal(generationsAhead(goals, hosts), [
    { application: "web", generation: 7 },
    { application: "lost", generation: 3 },
  ]);
});

test("rates", () => {
  const rate = new Rate();
  assert.is(rate.update(1_000, 0), 0);
  assert.is(rate.update(2_000, 500), 0);
  assert.is(rate.update(5_000, 2_000), 2_000);
  assert.is(rate.update(5_000, 3_000), 0);
  assert.is(rate.update(10, 4_000), 0);
});

test.run();
