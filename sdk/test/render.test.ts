import {
  Application,
  Build,
  BuildFailureReason,
  BuildStatus,
  Deployment,
  DeploymentFailureReason,
  DeploymentState,
  Host,
  HostPhase,
  LogLine,
  LogSource,
  Region,
  RegionProgress,
  ReplicationState,
} from "@slipway/proto";
import { status } from "@grpc/grpc-js";
import { test } from "uvu";
import * as assert from "uvu/assert";
import { exitCodeOf, UsageError } from "../src/cli/exit-code.js";
import { messageJson } from "../src/cli/json.js";
import { isChosen, type HostChoice } from "../src/cli/host-choice.js";
import { buildFacts, buildLine, buildTable, logLine } from "../src/cli/render/build.js";
import { deploymentEnd, deploymentFacts, deploymentTable } from "../src/cli/render/deployment.js";
import { errorJson, errorText } from "../src/cli/render/error.js";
import { hostTable, regionTable } from "../src/cli/render/fleet.js";
import { hostBar, regionText, transferText } from "../src/cli/render/region-progress.js";
import { paint } from "../src/cli/render/style.js";
import { statusTable } from "../src/cli/render/status.js";
import { table } from "../src/cli/render/table.js";
import { retryText } from "../src/cli/session.js";
import { SlipwayError, type ErrorCode } from "../src/index.js";
import { ago, deployment, region, WIDE as look } from "./support/progress.js";

const totals = undefined;
const { RUNNING, STAGING, STAGED, ACTIVATING, FAILED, PENDING, HELD } = HostPhase;

test("colours only where they are wanted", () => {
  assert.is(paint(look, "red", "x"), "x");
  assert.is(paint({ ...look, colour: true }, "red", "x"), "\u001b[31mx\u001b[0m");
  assert.is(paint({ ...look, colour: true }, undefined, "x"), "x");
});

test("a table lines up, is safe, and is cut at the terminal's edge", () => {
  const rows = [
    ["日本", "x", "a long last cell that does not fit at all"],
    ["\u001b[2J", "", ""],
  ];
  const text = table(["A", "LONGER", "C"], rows, { ...look, columns: 40 });
  assert.equal(text.split("\n"), [
    "A          LONGER  C",
    "日本       x       a long last cell tha…",
    "\\u001b[2J  -       -",
    "",
  ]);
});

for (const [counts, width, expected] of [
  [[[RUNNING, 12]], 10, "##########"],
  [[[PENDING, 12]], 10, ".........."],
  [
    [
      [RUNNING, 1],
      [PENDING, 999],
    ],
    10,
    "#.........",
  ],
  [
    [
      [RUNNING, 999],
      [FAILED, 1],
    ],
    10,
    "#########!",
  ],
  [
    [
      [RUNNING, 3],
      [ACTIVATING, 2],
      [STAGED, 2],
      [STAGING, 2],
      [HELD, 1],
    ],
    10,
    "###++==--~",
  ],
  [
    [
      [RUNNING, 1],
      [STAGING, 1],
    ],
    3,
    "##-",
  ],
  [[], 4, "    "],
] as [[HostPhase, number][], number, string][]) {
  test(`bar ${expected}`, () => assert.is(hostBar(region("eu", counts), width, look), expected));
}

test("a bar leaves room for hosts that no phase counts", () => {
  const progress = region("eu", [[RUNNING, 5]], { hostCount: 10 });
  assert.is(hostBar(progress, 10, look), "#####     ");
});

for (const [progress, expected] of [
  [RegionProgress.fromPartial({ region: "eu" }), "no counts yet"],
  [RegionProgress.fromPartial({ region: "eu", silent: true }), "silent: no agent answers"],
  [
    region("eu", [
      [RUNNING, 8],
      [STAGING, 3],
      [FAILED, 1],
    ]),
    "8/12 running, 3 staging, 1 failed",
  ],
  [region("eu", [[RUNNING, 1]], { silentCount: 1 }), "1/1 running, 1 silent"],
  [
    { ...region("eu", [[RUNNING, 1]]), silent: true, warming: true },
    "1/1 running, region silent: its agents do not answer, counts incomplete: agent just started",
  ],
] as const) {
  test(`region: ${expected}`, () => assert.is(regionText(progress), expected));
}

for (const [status, expected] of [
  [{}, ""],
  [{ bytesDone: 5, bytesTotal: 1024 ** 2 }, "5 B of 1.0 MiB"],
  [{ bytesDone: 1024 ** 2, bytesTotal: 1024 ** 2, bytesPerSecond: 9 }, "1.0 MiB"],
  [
    { bytesDone: 1024 ** 3, bytesTotal: 4 * 1024 ** 3, bytesPerSecond: 307.2 * 1024 ** 2 },
    "1.0 GiB of 4.0 GiB, 307 MiB/s, 10 s left",
  ],
] as const) {
  test(`transfer: "${expected}"`, () => {
    assert.is(transferText(RegionProgress.fromPartial({ status })), expected);
  });
}

const end = (more: object): string =>
  deploymentEnd(
    { deployment: deployment({ finishTime: ago(5), ...more }), regions: [], totals },
    look,
  );

test("how a deployment ends", () => {
  assert.is(
    end({ state: DeploymentState.SUCCEEDED }),
    "web 0123456789ab runs on every host after 1 min\n",
  );
  assert.is(
    end({ state: DeploymentState.SUPERSEDED, supersededBy: "d2" }),
    "web 0123456789ab was superseded after 1 min by deployment d2\n",
  );
  const failure = { reason: DeploymentFailureReason.HOSTS_FAILED, message: "1 of 4" };
  assert.is(
    end({ state: DeploymentState.FAILED, failure }),
    "web 0123456789ab failed after 1 min: hosts failed: 1 of 4\n",
  );
  assert.is(
    end({ state: DeploymentState.FAILED, failure, previousBuildId: "b0" }),
    "web 0123456789ab failed after 1 min: hosts failed: 1 of 4\n" +
      "Go back with: slipway rollback web\n",
  );
  assert.is(
    end({ state: DeploymentState.ABORTED, rolledBackBy: "d3" }),
    "web 0123456789ab was aborted after 1 min\n" +
      "What ran before is put back; watch it with: slipway watch d3\n",
  );
  const regions = [region("eu", [[RUNNING, 9]], { hostCount: 10 })];
  const most = deployment({ state: DeploymentState.SUCCEEDED });
  assert.match(
    deploymentEnd({ deployment: most, regions, totals }, look),
    "web 0123456789ab runs on 9 of 10 hosts",
  );
});

test("deployments", () => {
  const one = deployment({ isRollback: true, reason: "errors", creator: "ada" });
  assert.match(deploymentTable([one], look), /^DEPLOYMENT .*\nd1 .*RUNNING .*roll-back: errors\n$/);
  const facts = deploymentFacts(
    { deployment: one, regions: [region("eu", [[RUNNING, 4]])], totals },
    look,
  );
  for (const line of ["created by   ada", "kind         roll-back", "in eu        4/4 running"]) {
    assert.ok(facts.includes(`${line}\n`), `${line} in\n${facts}`);
  }
});

const build = (more: object = {}): Build =>
  Build.fromPartial({
    id: "b1",
    application: "web",
    applicationRevision: 2,
    commitSha: "0123456789abcdef0123456789abcdef01234567",
    status: BuildStatus.RUNNING,
    attempt: 1,
    maxAttempts: 3,
    builderId: "builder-1",
    createTime: ago(100),
    startTime: ago(65),
    ...more,
  });
const QUEUED = { status: BuildStatus.QUEUED, builderId: "", startTime: undefined };
const artifact = { digest: "sha256:00", sizeBytes: 32 * 1024 ** 2, platform: "linux/x64" };

for (const [more, expected] of [
  [{ status: BuildStatus.QUEUED }, "build b1 QUEUED"],
  [{ ...QUEUED, queueing: { connectedBuilders: 2 } }, "build b1 QUEUED"],
  [{ ...QUEUED, queueing: { blockedBy: "nobody" } }, "build b1 QUEUED, held up: nobody"],
  [{ queueing: { blockedBy: "nobody" } }, "build b1 RUNNING, attempt 1 on builder-1"],
  [{}, "build b1 RUNNING, attempt 1 on builder-1"],
  [
    {
      status: BuildStatus.FAILED,
      failure: { reason: BuildFailureReason.COMMAND_FAILED, message: "make exited with 2" },
    },
    "build b1 FAILED, command failed: make exited with 2",
  ],
  [
    {
      status: BuildStatus.SUCCEEDED,
      artifact,
      replications: [
        { region: "eu", state: ReplicationState.COMPLETE },
        { region: "us", state: ReplicationState.COPYING },
      ],
    },
    "build b1 SUCCEEDED, 32 MiB, in 1 of 2 regions",
  ],
  [
    { status: BuildStatus.SUCCEEDED, artifact, deployable: true },
    "build b1 SUCCEEDED, 32 MiB, deployable",
  ],
] as const) {
  test(expected, () => assert.is(buildLine(build(more), look), expected));
}

test("builds", () => {
  assert.match(
    buildTable([build()], look),
    /\nb1 .* 0123456789ab .*RUNNING .*1 min 40 s ago .*1 min 5 s .*on builder-1\n$/,
  );
  const blockedBy = "no builder is connected";
  assert.match(
    buildTable([build({ status: BuildStatus.QUEUED, queueing: { blockedBy } })], look),
    /QUEUED .* held up: no builder is connected\n$/,
  );
  assert.is(buildTable([], look), "BUILD  APPLICATION  COMMIT  STATUS  CREATED  TOOK  DETAIL\n");
  const replications = [
    { region: "eu", state: ReplicationState.COPYING, bytesCopied: 1024, sizeBytes: 4096 },
    { region: "us", state: ReplicationState.FAILED, message: "disk full" },
  ];
  const facts = buildFacts(build({ status: BuildStatus.SUCCEEDED, artifact, replications }), look);
  for (const line of [
    "size         32 MiB, linux/x64",
    "in eu        copying, 1.0 KiB of 4.0 KiB",
    "in us        failed, disk full",
    "deployable   not yet",
  ]) {
    assert.ok(facts.includes(`${line}\n`), `${line} in\n${facts}`);
  }
});

test("log lines: raw into files, safe on terminals, Slipway's own marked", () => {
  const line = LogLine.fromPartial({ sequence: 1, source: LogSource.STDOUT, text: "\u001b[2Jx" });
  assert.is(logLine(line, look, false), "\u001b[2Jx");
  assert.is(logLine(line, look, true), "x");
  const system = LogLine.fromPartial({ source: LogSource.SYSTEM, text: "fetching" });
  assert.is(logLine(system, look, false), "── fetching");
});

test("hosts", () => {
  const hosts = [
    Host.fromPartial({
      enrolment: { hostId: "h1", region: "eu", cell: "c1" },
      status: {
        time: ago(3),
        applications: [
          { application: "web", phase: RUNNING, runningCommitSha: "abcdef0123456789" },
          { application: "api", phase: STAGING, bytesDone: 1024, bytesTotal: 4096 },
        ],
      },
    }),
    Host.fromPartial({
      enrolment: { hostId: "h2", region: "eu", labels: { a: "b" } },
      silent: true,
    }),
  ];
  assert.equal(hostTable(hosts, {}, look).split("\n"), [
    "HOST  REGION  CELL  APPLICATION  PHASE    RUNS          HEARD    DETAIL",
    "h1    eu      c1    web          running  abcdef012345  3 s ago  -",
    "h1    eu      c1    api          staging  -             3 s ago  1.0 KiB of 4.0 KiB",
    "h2    eu      -     -            silent   -             -        a=b",
    "",
  ]);
  assert.not.match(hostTable(hosts, { app: "web" }, look), "api");
  const chosen = (choice: HostChoice): string[] =>
    hosts.filter((host) => isChosen(host, choice)).map(({ enrolment }) => enrolment?.hostId ?? "");
  assert.equal(chosen({ app: "web" }), ["h1", "h2"], "the coordinator chooses by application");
  assert.equal(chosen({ phase: "staging" }), ["h1"]);
  assert.equal(chosen({ phase: "staging", app: "web" }), []);
  assert.equal(chosen({ phase: "silent", app: "web" }), ["h2"]);
  assert.not.match(hostTable(hosts, { phase: "staging" }, look), "web");
});

for (const [said, expected] of [
  [{ phase: RUNNING, goalStale: true }, "its goal is stale: no coordinator has renewed it in time"],
  [
    { phase: RUNNING, goalStale: true, failure: { reason: 10, message: "why" } },
    "goal key not trusted: why",
  ],
] as const) {
  test(`host: ${expected}`, () => {
    const status = { applications: [{ application: "web", ...said }] };
    const text = hostTable([Host.fromPartial({ status })], {}, look);
    assert.ok(text.endsWith(`  ${expected}\n`), text);
  });
}

const TWINS = [
  { incarnation: "2", machine: "m2", address: "10.0.0.2:7800", pid: 12 },
  { incarnation: "1", machine: "m1", address: "10.0.0.1:7800", pid: 11 },
];

test("a host that is several processes", () => {
  const expected = "is several processes: m1 (10.0.0.1:7800, process 11) and m2 (10.0.0.2:7800, pr";
  for (const applications of [[], [{ application: "web", phase: RUNNING }]]) {
    const host = Host.fromPartial({ status: { applications, twins: TWINS } });
    assert.ok(hostTable([host], {}, look).includes(expected));
  }
});

for (const [more, expected] of [
  [
    { agents: [{ agentId: "a", twinHostCount: 1 }] },
    "a host is several processes each: see slipway hosts",
  ],
  [
    { agents: [{ agentId: "a", process: TWINS[0], twins: [TWINS[1]] }] },
    "a is several processes: m1 (10.0.0.1:7800, process 11) and m2 (10.0.0.2:7800, process 12)",
  ],
  [{ agents: [{ agentId: "a" }] }, "ok"],
  [{ silent: true }, "silent: no agent answers"],
  [
    { silent: true, natsAwaySince: ago(65), agents: [{ agentId: "a" }] },
    "its NATS has been away for 1 min 5 s: no host is heard",
  ],
  [
    {
      agents: [
        { agentId: "a", time: ago(1), coordinatorRefusedSince: ago(90), coordinatorRefusal: "no" },
        { agentId: "b", time: ago(2) },
        { agentId: "dead", time: ago(60), coordinatorRefusedSince: ago(90) },
      ],
    },
    "a has not been let in by coordinators for 1 min 30 s: no",
  ],
  [
    {
      agents: [
        { agentId: "a", time: ago(1), coordinatorAwaySince: ago(90) },
        { agentId: "dead", time: ago(60), coordinatorAwaySince: ago(90) },
      ],
    },
    "a has reached none of its coordinators for 1 min 30 s",
  ],
  [{ agents: [{ agentId: "a", warming: true }] }, "warming: an agent just started"],
  [
    {
      agents: ["a", "b"].map((agentId) => {
        return { agentId, ahead: [{ application: "web", generation: 9 }] };
      }),
    },
    "hosts are ahead of the goals: web at 9",
  ],
  [
    { agents: [{ agentId: "a", staleGoalCount: 2 }, { agentId: "b" }] },
    "2 goals are stale: no coordinator has renewed what should run",
  ],
  [
    { agents: [{ agentId: "a", staleGoalCount: 1 }] },
    "a goal is stale: no coordinator has renewed what should run",
  ],
] as [object, string][]) {
  test(`region: ${expected}`, () => {
    const regions = [Region.fromPartial({ name: "eu", ...more })];
    const text = regionTable({ regions, unheardSince: undefined }, look);
    assert.ok(text.endsWith(`  ${expected}\n`), text);
  });
}

test("regions that the coordinator cannot hear are not blamed, nor called well", () => {
  const agents = [{ agentId: "a", silentCount: 3 }];
  const regions = [
    Region.fromPartial({ name: "eu", silent: true, enrolledHostCount: 4, agents }),
    Region.fromPartial({ name: "us", agents }),
  ];
  assert.equal(regionTable({ regions, unheardSince: ago(125) }, look).split("\n"), [
    "the coordinator has not heard over the global NATS for 2 min 5 s: of regions and hosts this is what was " +
      "last known, and their silence is not theirs",
    "REGION  HOSTS  SILENT  AGENTS  STATE",
    "eu      4      -       a       not known now",
    "us      0      -       a       not known now",
    "",
  ]);
});

test("JSON: durations as text, times and enums by name", () => {
  const failure = { reason: BuildFailureReason.COMMAND_FAILED, message: "no" };
  const json = messageJson(Build, build({ failure })) as Record<string, unknown>;
  assert.is(json["status"], "BUILD_STATUS_RUNNING");
  assert.is(json["startTime"], ago(65).toISOString());
  assert.equal(json["failure"], { reason: "BUILD_FAILURE_REASON_COMMAND_FAILED", message: "no" });
  const withDurations = { toJSON: () => ({ timeout: { seconds: 900 }, run: [{ interval: {} }] }) };
  assert.equal(messageJson(withDurations, undefined), {
    timeout: "15m",
    run: [{ interval: "0s" }],
  });
});

test("errors say what, where and what to do", () => {
  const error = new SlipwayError({
    code: "INVALID_ARGUMENT",
    reason: "INVALID_REQUEST",
    message: "the request is\nnot \u001b[2Jvalid",
    violations: [{ field: "commit_sha", description: "must be 40 digits" }],
  });
  assert.is(
    errorText(error, look),
    "error: the request is\nnot \\u001b[2Jvalid\n  commit_sha: must be 40 digits\n",
  );
  const repeating = new SlipwayError({
    code: "INVALID_ARGUMENT",
    message: "commit_sha: must be 40 digits",
    violations: error.violations,
  });
  assert.is(
    errorText(repeating, look),
    "error: the coordinator refused the request\n  commit_sha: must be 40 digits\n",
  );
  const unreachable = new SlipwayError({
    code: "UNAVAILABLE",
    reason: "COORDINATOR_UNREACHABLE",
    message: "cannot reach it",
  });
  assert.match(errorText(unreachable, look), "SLIPWAY_COORDINATOR");
  const distrusted = new SlipwayError({
    code: "UNAVAILABLE",
    reason: "COORDINATOR_UNREACHABLE",
    message: "cannot reach the coordinator at c:1: unable to verify the first certificate",
  });
  assert.match(errorText(distrusted, look), "not trusted: say its authority with --ca");
  assert.is(errorText(new Error("odd"), look), "error: odd\n");
  assert.equal(errorJson(error), {
    error: {
      code: "INVALID_ARGUMENT",
      reason: "INVALID_REQUEST",
      message: error.message,
      violations: error.violations,
      retryable: false,
    },
  });
});

test("every code has an exit code", () => {
  const expected: Record<string, number> = { NOT_FOUND: 3, INVALID_ARGUMENT: 4, UNAVAILABLE: 5 };
  for (const code of Object.keys(status).filter((name) => /^[A-Z]/.test(name) && name !== "OK")) {
    const exit = exitCodeOf(new SlipwayError({ code: code as ErrorCode, message: "" }));
    assert.ok([1, 3, 4, 5].includes(exit), `${code}: ${exit}`);
    if (expected[code] !== undefined) assert.is(exit, expected[code]);
  }
  assert.is(exitCodeOf(new UsageError("")), 2);
  assert.is(exitCodeOf(new Error("")), 1);
});

for (const [state, given, since] of [
  [DeploymentState.PENDING, {}, "5 min ago"],
  [DeploymentState.RUNNING, { startTime: ago(240) }, "4 min ago"],
  [DeploymentState.PAUSED, { startTime: ago(240), pause: { pauseTime: ago(120) } }, "2 min ago"],
  [DeploymentState.ABORTED, { startTime: ago(240), finishTime: ago(60) }, "1 min ago"],
] as const) {
  test(`${DeploymentState[state]} is shown since when it is so`, () => {
    const newest = {
      deployment: Deployment.fromPartial({ state, createTime: ago(300), ...given }),
      regions: [],
      totals: undefined,
    };
    const application = Application.fromPartial({ name: "web" });
    assert.ok(statusTable([{ application, newest }], look).includes(`  ${since}  `));
  });
}

test("that a call is tried again is said once", () => {
  const message = "the database is not available; try again";
  const error = new SlipwayError({ code: "UNAVAILABLE", message });
  assert.is(
    retryText({ method: "x", failures: 2, delayMs: 10, error }),
    "the database is not available; trying again",
  );
});

test.run();
