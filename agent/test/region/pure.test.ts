import {
  ApplicationGoal,
  Goal,
  GoalDigest,
  HostStatus,
  SignedGoal,
  type EnrolledHost,
} from "@slipway/proto";
import { pino } from "pino";
import { suite } from "uvu";
import * as assert from "uvu/assert";
import { CellWatch } from "../../src/region/cell-watch.js";
import { SILENT_MS, type KnownHost } from "../../src/region/known-host.js";
import { type HostChange, HostTable } from "../../src/region/host-table.js";
import {
  encodeDigest,
  readGlobalGoal,
  readRegionalGoal,
  replaces,
} from "../../src/region/plan-goals.js";

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
      status({ labels: Object.fromEntries(Array.from({ length: 65 }, (_, i) => [`l${i}`, ""])) }),
      /labels/,
    ],
    // What would have a coordinator refuse every host that is enrolled with it.
    ["h1", status({ cell: "a cell" }), /cell/],
    ["h1", status({ labels: { "a label": "x" } }), /labels/],
    ["h1", status({ labels: { tier: "a\0b" } }), /labels/],
    ["h1", status({ labels: { tier: "x".repeat(256) } }), /labels/],
    ["h1", status({ labels: { [""]: "x" } }), /labels/],
  ] as const) {
    assert.match(hosts.hear(subject, bytes, 0) ?? "taken", reason);
  }
  assert.equal(hosts.toEnrol(10), []);
  assert.is(hosts.stats.dropped, 11);
  assert.is(hosts.hear("h1", status(), 0), undefined);
  assert.match(hosts.hear("h1", status({ time: new Date(4) }), 0) ?? "taken", /older/);
  assert.is(hosts.hear("h1", status({ time: new Date(4), startTime: new Date(1) }), 0), undefined);
});

const at = (time: number): Uint8Array => status({ time: new Date(3_600_000 + time) });

table("hears a host whose clock was set back, and no message that was overtaken", () => {
  const hosts = new HostTable("eu");
  assert.is(hosts.hear("h1", at(0), 0), undefined);
  assert.match(hosts.hear("h1", at(-10), 200) ?? "taken", /older/);
  assert.is(hosts.hear("h1", at(-600_000), 10_000), undefined);
  assert.is(hosts.hear("h1", at(-590_000), 20_000), undefined);
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

table("says what changed, and what not", () => {
  const hosts = new HostTable("eu");
  const heard: [string, HostChange, Partial<KnownHost>][] = [];
  hosts.onChange(({ enrolment, enrolled, silent }, applications) => {
    heard.push([enrolment.hostId, applications, { enrolled, silent }]);
  });
  const hear = (more: Parameters<typeof status>[0], now = 0): typeof heard => {
    assert.is(hosts.hear("h1", status(more), now), undefined);
    return heard.splice(0);
  };
  hosts.enrol([{ hostId: "h1", region: "eu", cell: "c", labels: {} }]);
  assert.equal(heard.splice(0), [["h1", "enrolment", { enrolled: true, silent: true }]]);
  const heardAgain = [["h1", "silence", { enrolled: true, silent: false }]];
  const web = { application: "web", generation: 1, bytesDone: 1 };
  const api = { application: "api" };
  assert.equal(hear({ applications: [web, api] }), heardAgain);
  assert.equal(hear({ applications: [web, api] }), []);
  const [[, , live] = []] = heardAgain;
  assert.equal(hear({ applications: [{ ...web, bytesDone: 2 }, api] }), [["h1", ["web"], live]]);
  const heldArtifactDigests = ["sha256:1"];
  assert.equal(hear({ applications: [{ ...api, heldArtifactDigests }] }), [
    ["h1", ["web", "api"], live],
  ]);
  assert.equal(hear({ applications: [{ ...api, heldArtifactDigests }] }), []);
  assert.equal(hear({ labels: { a: "1" } }), [["h1", "enrolment", live]]);
  hosts.sweep(SILENT_MS);
  assert.equal(heard.splice(0), []);
  hosts.sweep(SILENT_MS + 1);
  hosts.sweep(SILENT_MS + 2);
  assert.equal(heard.splice(0), [["h1", "silence", { enrolled: true, silent: true }]]);
  assert.equal(hear({ labels: { a: "1" } }, SILENT_MS + 3), heardAgain);
});

table("forgets hosts that are not persisted any more, for good only if told so", () => {
  const hosts = new HostTable("eu");
  const h2: EnrolledHost = { hostId: "h2", region: "eu", cell: "c", labels: {} };
  hosts.enrol([{ ...h2, hostId: "h1" }, h2]);
  hosts.hear("h1", status(), 0);
  const changes: [string, boolean][] = [];
  hosts.onChange(({ enrolment, enrolled }) => changes.push([enrolment.hostId, enrolled]));
  assert.is(hosts.retain(new Set(["h2"])), 1);
  assert.equal(changes, [["h1", false]]);
  assert.equal(hosts.counts(0), { hosts: 1, silent: 1, unheard: 1 });
  assert.equal([...hosts.cells], [["c", 1]]);
  assert.is(hosts.status("h1", 0), undefined);
  // It may be new: the coordinator is asked.
  hosts.hear("h1", status(), 0);
  assert.equal(
    hosts.toEnrol(10).map(({ hostId }) => hostId),
    ["h1"],
  );
  hosts.decommission(["h1"]);
  assert.equal(hosts.toEnrol(10), []);
  assert.match(hosts.hear("h1", status(), 0) ?? "taken", /taken out/);
  assert.is(hosts.stats.decommissioned, 1);
  assert.equal(hosts.toEnrol(10), []);
  // Put back into the database by hand.
  hosts.enrol([{ ...h2, hostId: "h1" }]);
  assert.is(hosts.hear("h1", status(), 0), undefined);
});

table.run();

const goals = suite("goals of a region");

const goal = Goal.fromPartial({
  application: "web",
  region: "eu",
  generation: 2,
  selector: { tier: "web" },
});
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
  assert.ok(replaces(one, undefined));
  assert.ok(replaces(later, one));
  assert.not(replaces(one, one));
  assert.not(replaces(one, later));
  const forged = { ...one, signed: Buffer.from("other bytes of the same order") };
  assert.ok(replaces(one, forged));
  const api = { ...issued, application: "api", selector: { b: "1", a: "2" } };
  const digest = encodeDigest([issued, api]);
  assert.ok(digest.equals(encodeDigest([{ ...api, selector: { a: "2", b: "1" } }, issued])));
  assert.equal(
    GoalDigest.decode(digest).goals.map(({ application, removed }) => [application, removed]),
    [
      ["api", false],
      ["web", false],
    ],
  );
  const { goals } = GoalDigest.decode(encodeDigest([{ ...issued, removed: true }]));
  assert.is(goals[0]?.removed, true);
});

goals.run();
