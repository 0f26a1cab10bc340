import {
  HostFailureReason,
  HostPhase,
  RegionApplicationStatus,
  type RegionProgress,
} from "@slipway/proto";
import { test } from "uvu";
import * as assert from "uvu/assert";
import { judge, tally, type Evidence } from "../../src/rollout/judge.js";

const { STAGING, RUNNING, FAILED, HELD } = HostPhase;

function region(
  name: string,
  phases: Partial<Record<HostPhase, number>>,
  extra: Partial<RegionProgress> & { silentCount?: number; hostCount?: number } = {},
): RegionProgress {
  const counts = Object.entries(phases).map(([phase, count]) => ({ phase: Number(phase), count }));
  const hostCount = extra.hostCount ?? counts.reduce((all, { count }) => all + count, 0);
  const failed = phases[FAILED] ?? 0;
  const status = RegionApplicationStatus.fromPartial({
    region: name,
    hostCount,
    phases: counts,
    silentCount: extra.silentCount ?? 0,
    failures: Array.from({ length: failed }, (_, i) => ({
      hostId: `${name}-h${i + 1}`,
      failure: { reason: HostFailureReason.UNHEALTHY, message: "503" },
    })),
  });
  return { region: name, silent: extra.silent ?? false, warming: extra.warming ?? false, status };
}

const bare = (name: string, extra: Partial<RegionProgress> = {}): RegionProgress => ({
  region: name,
  silent: false,
  warming: false,
  status: undefined,
  ...extra,
});

function evidence(regions: RegionProgress[], extra: Partial<Evidence> = {}): Evidence {
  const enrolled = new Map(regions.map((item) => [item.region, item.status?.hostCount ?? 0]));
  return { regions, enrolled, overdue: false, unpublished: undefined, ...extra };
}

const CASES: [name: string, evidence: Evidence, expected: string][] = [
  [
    "all run",
    evidence([region("eu", { [RUNNING]: 3 }), region("us", { [RUNNING]: 1 })]),
    "arrived",
  ],
  ["one stages", evidence([region("eu", { [RUNNING]: 3, [STAGING]: 1 })]), "-"],
  ["held is not running", evidence([region("eu", { [RUNNING]: 3, [HELD]: 1 })]), "-"],
  [
    "one region says nothing",
    evidence([region("eu", { [RUNNING]: 3 }), bare("us", { silent: true })]),
    "-",
  ],
  [
    "a living region without hosts has nothing to say",
    evidence([region("eu", { [RUNNING]: 3 }), bare("us")]),
    "arrived",
  ],
  [
    "a living region whose hosts are not counted yet",
    evidence([region("eu", { [RUNNING]: 3 }), bare("us")], {
      enrolled: new Map([
        ["eu", 3],
        ["us", 2],
      ]),
    }),
    "-",
  ],
  [
    "warming counts are not judged by",
    evidence([region("eu", { [RUNNING]: 3 }, { warming: true })]),
    "-",
  ],
  ["silent counts neither", evidence([region("eu", { [RUNNING]: 3 }, { silent: true })]), "-"],
  ["nobody at all", evidence([region("eu", {})]), "-"],
  [
    "an enrolled host that the agent does not know of",
    evidence([region("eu", { [RUNNING]: 3 })], { enrolled: new Map([["eu", 4]]) }),
    "-",
  ],
  [
    "a host that the agent knows before it is enrolled",
    evidence([region("eu", { [RUNNING]: 3 })], { enrolled: new Map([["eu", 2]]) }),
    "arrived",
  ],
  [
    "a silent host does not run",
    evidence([region("eu", { [RUNNING]: 3 }, { silentCount: 1 })]),
    "-",
  ],
  [
    "one failed, the rest runs",
    evidence([region("eu", { [RUNNING]: 2, [FAILED]: 1 })]),
    "HOSTS_FAILED",
  ],
  ["one failed, one on its way", evidence([region("eu", { [STAGING]: 1, [FAILED]: 1 })]), "-"],
  [
    "one failed, one silent",
    evidence([region("eu", { [FAILED]: 1 }, { hostCount: 2, silentCount: 1 })]),
    "-",
  ],
  [
    "one failed, another region silent",
    evidence([region("eu", { [FAILED]: 1 }), bare("us", { silent: true })]),
    "-",
  ],
  [
    "late",
    evidence([region("eu", { [RUNNING]: 2, [STAGING]: 1 })], { overdue: true }),
    "DEADLINE_EXCEEDED",
  ],
  [
    "all run at the deadline",
    evidence([region("eu", { [RUNNING]: 2 })], { overdue: true }),
    "arrived",
  ],
  ["nobody at the deadline", evidence([region("eu", {})], { overdue: true }), "DEADLINE_EXCEEDED"],
];

for (const [name, given, expected] of CASES) {
  test(`${name} → ${expected}`, () => {
    const verdict = judge(given);
    const said = verdict?.type === "failed" ? verdict.failure.reason : (verdict?.type ?? "-");
    assert.is(said, expected);
  });
}

function message(given: Evidence): string {
  const verdict = judge(given);
  if (verdict?.type !== "failed") throw new Error("expected a failure");
  return verdict.failure.message;
}

test("a failure names at most three hosts with their reasons", () => {
  const text = message(evidence([region("eu", { [RUNNING]: 1, [FAILED]: 5 })]));
  assert.is(
    text,
    "5 of 6 hosts failed: eu-h1 (UNHEALTHY: 503); eu-h2 (UNHEALTHY: 503); eu-h3 (UNHEALTHY: 503)",
  );
});

test("a missed deadline counts who is missing, region by region", () => {
  const given = evidence(
    [
      region("ap", { [RUNNING]: 4 }),
      region("eu", { [RUNNING]: 1, [STAGING]: 2 }, { hostCount: 4, silentCount: 1 }),
      bare("us", { silent: true }),
    ],
    {
      overdue: true,
      enrolled: new Map([
        ["ap", 4],
        ["eu", 4],
        ["us", 3],
      ]),
    },
  );
  assert.is(
    message(given),
    "5 of 11 hosts run it at the deadline; eu: 2 staging, 1 silent; us: no region agent heard of (3 hosts)",
  );
});

test("a goal that could not be published is the reason for a missed deadline", () => {
  const given = evidence([region("eu", {})], { overdue: true, unpublished: "NATS is away" });
  assert.is(message(given), "not done by the deadline: NATS is away");
});

test("a tally adds up to its total however silence is counted", () => {
  const counted = tally(region("eu", { [RUNNING]: 3, [FAILED]: 1 }, { silentCount: 1 }), 4);
  assert.equal([counted.running, counted.failed, counted.silent, counted.onTheirWay], [2, 1, 1, 0]);
  const apart = tally(
    region("eu", { [RUNNING]: 2, [FAILED]: 1 }, { hostCount: 4, silentCount: 1 }),
    4,
  );
  assert.equal([apart.running, apart.failed, apart.silent, apart.onTheirWay], [2, 1, 1, 0]);
});

test.run();
