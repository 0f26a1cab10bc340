import {
  ApplicationGoal,
  Goal,
  GoalDigest,
  HostApplicationStatus,
  HostFailureReason,
  HostPhase,
  HostStatus,
  SignedGoal,
  type EnrolledHost,
} from "@slipway/proto";
import { pino } from "pino";
import { suite } from "uvu";
import * as assert from "uvu/assert";
import {
  aggregateApplication,
  generationsAhead,
  type KnownHost,
} from "../../src/region/aggregate.js";
import { CellWatch } from "../../src/region/cell-watch.js";
import { HostTable } from "../../src/region/host-table.js";
import {
  encodeDigest,
  isNewerGoal,
  readGlobalGoal,
  readRegionalGoal,
} from "../../src/region/plan-goals.js";
import { Rate } from "../../src/region/rate.js";

const counting = suite("counting hosts");

type Said = Parameters<typeof HostApplicationStatus.fromPartial>[0];

function known(hostId: string, heardAt: number | undefined, said?: Said, labels = {}): KnownHost {
  const status =
    said && HostApplicationStatus.fromPartial({ application: "web", generation: 2, ...said });
  return {
    enrolment: { hostId, region: "eu", cell: "c", labels },
    heardAt,
    applications: new Map(status && [[status.application, status]]),
  };
}

const goal = Goal.fromPartial({
  application: "web",
  region: "eu",
  generation: 2,
  selector: { tier: "web" },
  run: { artifactSizeBytes: 100 },
});
const web = { tier: "web" };

counting("adds up the hosts that the selector takes", () => {
  const failure = { reason: HostFailureReason.EXITED, message: "m" };
  const result = aggregateApplication(
    goal,
    [
      known(
        "a",
        99_000,
        {
          phase: HostPhase.RUNNING,
          bytesDone: 100,
          bytesTotal: 100,
          bytesFromPeers: 60,
          bytesFromSeeders: 40,
          runningBuildId: "b2",
        },
        web,
      ),
      known(
        "b",
        99_000,
        {
          phase: HostPhase.STAGING,
          bytesDone: 25,
          bytesTotal: 100,
          bytesFromLocal: 20,
          bytesFromReuse: 5,
          runningBuildId: "b1",
        },
        web,
      ),
      known(
        "c",
        99_000,
        {
          phase: HostPhase.RUNNING,
          generation: 1,
          bytesDone: 9,
          bytesTotal: 9,
          runningBuildId: "b1",
        },
        web,
      ),
      known("d", 60_000, { phase: HostPhase.FAILED, failure, runningBuildId: "b1" }, web),
      known("e", undefined, undefined, web),
      known("f", 99_000, { phase: HostPhase.HELD }, web),
      known("g", 99_000, { phase: HostPhase.RUNNING }, { tier: "db" }),
    ],
    100_000,
  );
  assert.equal(result, {
    application: "web",
    generation: 2,
    hostCount: 6,
    phases: [
      { phase: HostPhase.PENDING, count: 2 },
      { phase: HostPhase.STAGING, count: 1 },
      { phase: HostPhase.RUNNING, count: 1 },
      { phase: HostPhase.FAILED, count: 1 },
      { phase: HostPhase.HELD, count: 1 },
    ],
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
  });
});

counting("keeps samples bounded", () => {
  const failure = { reason: HostFailureReason.EXITED, message: "m" };
  const hosts = Array.from({ length: 100 }, (_, index) =>
    known(`h${index}`, 0, { phase: HostPhase.STAGING, failure, runningBuildId: `b${index}` }, web),
  );
  const result = aggregateApplication(goal, hosts, 0);
  assert.equal(
    [result.failures.length, result.slowestHosts.length, result.running.length],
    [10, 5, 10],
  );
});

const failing = (reason: HostFailureReason, generation: number) =>
  ({ generation, phase: HostPhase.FAILED, failure: { reason, message: "m" } }) as const;

counting("samples failures of the present goal, and refusals of it", () => {
  const hosts = [
    known("before", 0, failing(HostFailureReason.EXITED, 1), web),
    known("now", 0, failing(HostFailureReason.UNHEALTHY, 2), web),
    known("refuses", 0, failing(HostFailureReason.GOAL_REFUSED, 1), web),
  ];
  const { failures } = aggregateApplication(goal, hosts, 0);
  assert.equal(
    failures.map(({ hostId }) => hostId),
    ["now", "refuses"],
  );
});

counting("sees generations ahead of the goals", () => {
  const hosts = [
    known("a", 0, { generation: 5 }),
    known("b", 0, { generation: 7 }),
    known("c", 0, { generation: 1, application: "api" }),
    known("d", 0, { generation: 3, application: "lost" }),
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

counting("rates", () => {
  const rate = new Rate();
  assert.is(rate.update(1_000, 0), 0);
  assert.is(rate.update(2_000, 500), 0);
  assert.is(rate.update(5_000, 2_000), 2_000);
  assert.is(rate.update(5_000, 3_000), 0);
  assert.is(rate.update(10, 4_000), 0);
});

counting.run();

const table = suite("the host table");

const status = (more: Parameters<typeof HostStatus.fromPartial>[0] = {}) =>
  HostStatus.encode(
    HostStatus.fromPartial({ hostId: "h1", region: "eu", cell: "c", time: new Date(5), ...more }),
  ).finish();

table("drops what it cannot trust", () => {
  const hosts = new HostTable("eu");
  for (const [subject, bytes, reason] of [
    ["h1", Buffer.from([0xff]), /decoded/],
    ["h1", Buffer.alloc(1024 * 1024 + 1), /large/],
    ["h2", status(), /subject/],
    ["H_1", status({ hostId: "H_1" }), /name/],
    ["h1", status({ region: "us" }), /region/],
    [
      "h1",
      status({ labels: Object.fromEntries(Array.from({ length: 101 }, (_, i) => [`l${i}`, ""])) }),
      /labels/,
    ],
  ] as const) {
    assert.match(hosts.hear(subject, bytes, 0) ?? "taken", reason);
  }
  assert.is(hosts.stats.dropped, 6);
  assert.is(hosts.hear("h1", status(), 0), undefined);
  assert.match(hosts.hear("h1", status({ time: new Date(4) }), 0) ?? "taken", /older/);
  assert.is(hosts.hear("h1", status({ time: new Date(4), startTime: new Date(1) }), 0), undefined);
});

table("enrols new hosts and changed labels, and counts the enrolled alone", () => {
  const hosts = new HostTable("eu");
  const h2: EnrolledHost = { hostId: "h2", region: "eu", cell: "c", labels: { a: "1" } };
  hosts.enrol([h2]);
  hosts.hear("h1", status(), 1_000);
  assert.equal(hosts.counts(1_000), { hosts: 1, silent: 1, unheard: 1 });
  const [h1] = hosts.toEnrol(10);
  assert.is(h1?.hostId, "h1");
  hosts.enrol(hosts.toEnrol(10));
  assert.equal(hosts.toEnrol(10), []);
  assert.equal(hosts.counts(31_000), { hosts: 2, silent: 1, unheard: 1 });
  assert.equal(hosts.counts(31_001), { hosts: 2, silent: 2, unheard: 1 });
  hosts.hear("h2", status({ hostId: "h2", labels: { a: "2" } }), 2_000);
  assert.equal(
    hosts.toEnrol(10).map(({ labels }) => labels),
    [{ a: "2" }],
  );
  // A late answer with the old labels does not undo the new ones.
  hosts.enrol([h2]);
  assert.equal(
    hosts.toEnrol(10).map(({ labels }) => labels),
    [{ a: "2" }],
  );
});

table("counts the hosts of each cell; further cells are joined, and large ones warned of", () => {
  const hosts = new HostTable("eu");
  hosts.enrol([
    { hostId: "h1", region: "eu", cell: "c", labels: {} },
    { hostId: "h2", region: "eu", cell: "d", labels: {} },
    { hostId: "h3", region: "eu", cell: "", labels: {} },
  ]);
  hosts.hear("h1", status(), 0);
  hosts.hear("h2", status({ hostId: "h2" }), 0);
  assert.equal(
    [...hosts.cells],
    [
      ["c", 2],
      ["", 1],
    ],
  );
  const joined: string[] = [];
  const warned: unknown[] = [];
  const log = pino({ level: "warn" }, { write: (line: string) => warned.push(JSON.parse(line)) });
  const watch = new CellWatch({ table: hosts, joinCell: (cell) => joined.push(cell), log });
  watch.runOnce();
  watch.runOnce();
  assert.equal(joined, ["c"]);
  assert.is(warned.length, 0);
  const many = Array.from({ length: 2_001 }, (_, index) => `m${index}`);
  hosts.enrol(many.map((hostId) => ({ hostId, region: "eu", cell: "big", labels: {} })));
  hosts.enrol(many.slice(0, 200).map((id) => ({ hostId: id, region: "eu", cell: id, labels: {} })));
  watch.runOnce();
  watch.runOnce();
  assert.is(warned.length, 1, "too many cells, said once");
  hosts.enrol(many.map((hostId) => ({ hostId, region: "eu", cell: "big", labels: {} })));
  watch.runOnce();
  watch.runOnce();
  assert.is(warned.length, 2, "too many hosts, said once");
  assert.is((warned[1] as { hosts: number }).hosts, 2_001);
});

table("knows which counts may have changed", () => {
  const hosts = new HostTable("eu");
  assert.is(hosts.takeDirty(), undefined);
  hosts.enrol([{ hostId: "h1", region: "eu", cell: "c", labels: {} }]);
  assert.is(hosts.takeDirty(), undefined);
  const applications = [
    { application: "web", generation: 1, bytesDone: 1 },
    { application: "api" },
  ];
  hosts.hear("h1", status({ applications }), 0);
  hosts.takeDirty();
  hosts.hear("h1", status({ applications }), 0);
  assert.equal(hosts.takeDirty(), new Set());
  hosts.hear(
    "h1",
    status({ applications: [{ ...applications[0], bytesDone: 2 }, { application: "api" }] }),
    0,
  );
  assert.equal(hosts.takeDirty(), new Set(["web"]));
});

table.run();

const goals = suite("goals of a region");

const signed = (value: Goal): SignedGoal => ({
  payload: Buffer.from(Goal.encode(value).finish()),
  signature: Buffer.alloc(64),
  keyId: "k",
});
const global = (application: string, regions: Record<string, SignedGoal>) =>
  ApplicationGoal.encode(ApplicationGoal.fromPartial({ application, regions })).finish();
const issued = { ...goal, issueTime: new Date(5) };

goals("takes the region's part, and refuses nonsense", () => {
  const read = readGlobalGoal("web", global("web", { eu: signed(issued) }), "eu");
  assert.equal(read?.goal, issued);
  assert.equal(SignedGoal.decode(read?.signed ?? Buffer.alloc(0)), signed(issued));
  assert.is(readGlobalGoal("web", global("web", {}), "eu"), undefined);
  assert.is(readGlobalGoal("web", global("web", {}), "toString"), undefined);
  for (const [key, value, reason] of [
    ["web", Buffer.from([0xff]), /decoded/],
    ["api", global("web", { eu: signed(issued) }), /another/],
    ["_x", global("_x", {}), /name/],
    ["web", global("web", { eu: signed({ ...issued, region: "us" }) }), /region/],
    ["web", global("web", { eu: signed({ ...issued, generation: 0 }) }), /generation/],
    ["web", global("web", { eu: { ...signed(issued), payload: Buffer.from([0xff]) } }), /decoded/],
  ] as const) {
    assert.throws(() => readGlobalGoal(key, value, "eu"), reason);
  }
});

goals("only newer ones take another's place, and digests do not depend on order", () => {
  const one = readRegionalGoal("web", SignedGoal.encode(signed(issued)).finish(), "eu");
  const later = { ...one, goal: { ...issued, issueTime: new Date(6) } };
  assert.ok(isNewerGoal(one, undefined));
  assert.ok(isNewerGoal(later, one));
  assert.not(isNewerGoal(one, one));
  assert.not(isNewerGoal(one, later));
  const api = { ...issued, application: "api", selector: { b: "1", a: "2" } };
  const digest = encodeDigest([issued, api]);
  assert.ok(digest.equals(encodeDigest([{ ...api, selector: { a: "2", b: "1" } }, issued])));
  assert.equal(
    GoalDigest.decode(digest).goals.map(({ application }) => application),
    ["api", "web"],
  );
});

goals.run();
