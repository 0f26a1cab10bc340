import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import path from "node:path";
import { status } from "@grpc/grpc-js";
import { DeploymentState, HostPhase, OnFailure, StepPhase, Role } from "@slipway/proto";
import { suite } from "uvu";
import * as assert from "uvu/assert";
import { runCli, startCli, type Ended } from "./support/run-cli.js";
import { Refusal, ScriptedServer, type OpenCall } from "./support/scripted-server.js";

const ID = "01920000-0000-7000-8000-000000000001";
const FIRST = "01920000-0000-7000-8000-000000000003";
const BACK = "01920000-0000-7000-8000-000000000002";
const SHA = "0123456789abcdef0123456789abcdef01234567";
const steps = [
  { wave: 1, regions: ["eu"], percent: 10 },
  { wave: 2, regions: ["eu", "us"], percent: 100, requiresPromotion: true, requiresApproval: true },
];
const deployment = {
  id: ID,
  application: "web",
  commitSha: SHA,
  buildId: "b1",
  creator: "ada",
  steps,
  step: 2,
  state: DeploymentState.WAITING,
};
const ended = { ...deployment, id: BACK, state: DeploymentState.SUCCEEDED };
const deployed: Readonly<Record<string, object[]>> = {
  web: [deployment, ended],
  idle: [ended],
  again: [{ ...ended, generation: 3 }],
};
const plan = {
  freezes: [
    {
      id: "f1",
      application: "web",
      actor: "ann",
      reason: "holidays",
      expireTime: new Date("2999-01-01T00:00:00Z"),
    },
  ],
  application: "web",
  buildId: "b1",
  commitSha: SHA,
  artifactSizeBytes: 1024 ** 2,
  strategy: {
    waves: [{ regions: ["eu"], bakeTime: { seconds: 30 } }, { regions: ["*"] }],
    maxSwitchingPercent: 25,
    failureBudget: { failedPercent: 2, silentPercent: 5 },
    stageTimeout: { seconds: 1_800 },
    activateTimeout: { seconds: 600 },
    timeout: { seconds: 21_600 },
    onFailure: OnFailure.STOP,
  },
  steps,
  regions: [
    {
      region: "eu",
      hostCount: 3,
      downloadCount: 2,
      downloadHosts: ["eu-1", "eu-2\u001b[2J"],
      bytesToMove: 2 * 1024 ** 2,
      replication: 3,
    },
    { region: "us", hostCount: 2, downloadCount: 2, bytesToMove: 2 * 1024 ** 2, unreachable: true },
  ],
  supersedes: ID,
  previousBuildId: "b0",
  droppedRegions: ["ap", "sa\u001b[2J"],
  reaches: [
    { step: 1, region: "eu", hostCount: 30, expectedHosts: 3, leastHosts: 1, mostHosts: 6 },
    { step: 2, region: "eu", hostCount: 30, expectedHosts: 30, leastHosts: 30, mostHosts: 30 },
    { step: 2, region: "us\u001b[2J", hostCount: 2, expectedHosts: 2, leastHosts: 2, mostHosts: 2 },
  ],
};

const script = {
  unary: {
    getDeployment: ({ id }: { id: string }) => ({ deployment: { ...deployment, id } }),
    listDeployments: ({ application }: { application: string }) => ({
      deployments: deployed[application] ?? [],
    }),
    getApplication: ({ name }: { name: string }) => {
      if (name === "web") return { application: { name, removeTime: new Date() } };
      if (name === "idle") return { application: { name } };
      if (name === "again") return { application: { name, removalGeneration: 4 } };
      throw new Refusal(
        status.NOT_FOUND,
        `there is no application ${name}`,
        "APPLICATION_NOT_FOUND",
      );
    },
    pauseDeployment: () => ({ deployment: { ...deployment, state: DeploymentState.PAUSED } }),
    resumeDeployment: () => ({ deployment }),
    promoteDeployment: ({ id, actor }: { id: string; actor: string }) => {
      if (actor === "ada") throw new Refusal(status.FAILED_PRECONDITION, "ada created it");
      const own = id === FIRST ? steps.map((step) => ({ ...step, regions: ["us"] })) : steps;
      return { deployment: { ...deployment, steps: own, state: DeploymentState.RUNNING } };
    },
    abortDeployment: ({ id, keepSwitched }: { id: string; keepSwitched: boolean }) => ({
      deployment: { ...deployment, state: DeploymentState.ABORTED },
      ...(keepSwitched || id === FIRST ? {} : { rollBack: { ...deployment, id: BACK } }),
    }),
    createDeployment: ({
      buildId,
      overrideFreeze,
    }: {
      buildId: string;
      overrideFreeze: boolean;
    }) => {
      if (buildId === "bad") {
        throw new Refusal(status.INVALID_ARGUMENT, "the strategy is not valid", "INVALID", [
          { field: "strategy.waves[0].percents[1]", description: "must rise" },
          { field: "build_id", description: "must be a UUID" },
        ]);
      }
      if (buildId === "frozen" && !overrideFreeze) {
        throw new Refusal(status.FAILED_PRECONDITION, "region eu is frozen", "FROZEN");
      }
      return { deployment };
    },
    planDeployment: ({ change }: { change: { value: { application?: string } } }) => {
      if (change.value.application === "dark") throw new Refusal(status.UNAVAILABLE, "no answer");
      return plan;
    },
    rollBack: () => ({ deployment: { ...deployment, id: BACK, isRollback: true } }),
    createFreeze: (request: object) => ({
      freeze: { ...request, id: "f1", createTime: new Date() },
    }),
    listFreezes: () => ({
      freezes: [
        {
          id: "f1",
          region: "eu",
          actor: "bob",
          reason: "sale",
          expireTime: new Date("2040-01-02"),
        },
        { id: "f2", application: "blog", reason: "not ours" },
      ],
    }),
    endFreeze: ({ id }: { id: string }) => {
      if (id !== "f1") throw new Refusal(status.NOT_FOUND, `there is no freeze ${id}`);
      return {};
    },
    listAuditEntries: () => ({
      entries: [
        {
          time: new Date(0),
          actor: "ada",
          action: "deployment.pause",
          reason: "errors",
          application: "web",
          deploymentId: ID,
          message: "paused at step 2",
        },
      ],
    }),
    removeApplication: ({ name }: { name: string }) => ({ application: { name } }),
    decommissionHost: () => ({}),
    listMembers: ({ role }: { role: Role }) => {
      const [joinTime, expireTime] = [new Date(), new Date(Date.now() + 3_700_000)];
      const host = { id: "h1", role: Role.HOST, region: "eu", joinTime, renewTime: joinTime };
      const members = [
        { ...host, expireTime, releaseTime: joinTime },
        { ...host, id: "h2", expireTime: joinTime, revokeTime: joinTime },
        { id: "b1", role: Role.BUILDER, joinTime, expireTime: joinTime },
      ];
      return { members: members.filter((one) => role === Role.UNSPECIFIED || one.role === role) };
    },
    revokeMember: ({ allowMissing }: { allowMissing: boolean }) => {
      if (!allowMissing) throw new Refusal(status.NOT_FOUND, "there is no member x");
      return {};
    },
    releaseMember: () => ({}),
    readHostLog: ({ hostId, position }: { hostId: string; position: string }) => {
      if (hostId === "gone") throw new Refusal(status.NOT_FOUND, "there is no host gone");
      if (position === "2") return { content: Buffer.alloc(0), position };
      const text = position === "" ? "one\n\u001b[2Jtwo ü\n" : "three\n";
      return {
        content: Buffer.from(text),
        position: position === "" ? "1" : "2",
        gap: position !== "",
      };
    },
  },
  streams: {
    watchDeployment: ({ request, send }: OpenCall) => {
      const regions = [
        { region: "eu", status: { hostCount: 1, phases: [{ phase: HostPhase.HELD }] } },
      ];
      const shown = { ...deployment, id: request["id"], step: 1, stepPhase: StepPhase.BAKING };
      send({ deployment: { ...shown, state: DeploymentState.RUNNING, revision: 1 }, regions });
      const end = { state: DeploymentState.ABORTED, rolledBackBy: BACK, revision: 2 };
      send({ deployment: { ...shown, ...end }, regions });
    },
  },
};

interface Context {
  server: ScriptedServer;
  folder: string;
}
const test = suite<Context>("steering");

test.before(async (context) => {
  context.server = await new ScriptedServer(script).start();
  context.folder = await mkdtemp(path.join(tmpdir(), "slipway-cli-"));
});
test.after(async ({ server, folder }) => {
  server.kill();
  await rm(folder, { recursive: true });
});

const slipway = ({ address }: ScriptedServer, args: string[], input?: string): Promise<Ended> =>
  runCli(args, {
    env: { SLIPWAY_COORDINATOR: address },
    ...(input === undefined ? {} : { input }),
  });

test("each says what it did, with its exit code", async ({ server }) => {
  const cases = [
    {
      args: ["pause", "web", "--reason", "errors"],
      says: /is paused\nGo on with: slipway resume 0192/,
    },
    {
      args: ["resume", ID],
      says: /waits for somebody to promote it\nPromote it with: slipway promote/,
    },
    { args: ["promote", FIRST], says: /step 2 of 2 of deployment \S+ of web may begin\nWatch/ },
    {
      args: ["promote", "web"],
      says: /step 2 of 2 of deployment \S+ of web is promoted, and frozen .*\nregion eu is frozen until 2040-01-02T\S+ \(in .*\) by bob: sale; .*slipway freeze end f1\nWatch/,
    },
    { args: ["abort", "web"], says: new RegExp(`is aborted\ndeployment ${BACK} puts back`) },
    { args: ["abort", FIRST], says: /nothing ran before: hosts stay as they are/ },
    { args: ["abort", ID, "--keep-switched"], says: /stay as they are/ },
    {
      args: ["pause", "idle"],
      code: 4,
      says: /no deployment of idle is under way; .*slipway status idle/,
    },
    { args: ["pause", "nobody"], code: 3, says: /there is no application nobody/ },
    {
      args: ["freeze", "create", "--region", "eu", "--for", "3d", "--reason", "x"],
      says: /region eu is frozen, ends in (3 d|2 d 23 h)\nEnd it sooner with: slipway freeze end f1/,
    },
    {
      args: ["freeze", "create", "--for", "3d", "--reason", "x"],
      code: 2,
      says: /either --app APP or --region/,
    },
    {
      args: ["freeze", "create", "--app", "web", "--reason", "x"],
      code: 2,
      says: /either --for DURATION or/,
    },
    { args: ["freeze", "create", "--app", "web", "--for", "3d"], code: 2, says: /--reason/ },
    {
      args: ["freeze", "create", "--app", "w", "--until", "soon", "--reason", "x"],
      code: 2,
      says: /2026-12-24T18/,
    },
    { args: ["freeze", "list"], says: /f1 +region eu .*sale/ },
    { args: ["freeze", "end", "f1"], says: /freeze f1 has ended/ },
    { args: ["freeze", "end", "f2"], code: 3, says: /there is no freeze f2/ },
    {
      args: ["audit", "--since", "2h", "--app", "web"],
      says: /1970-01-01T00:00:00Z +ada +deployment.pause +web 0192\S+ +paused at step 2 \(errors\)/,
    },
    { args: ["audit", "--since", "yesterday"], code: 2, says: /duration such as 2h/ },
    { args: ["app", "remove", "web"], code: 2, says: /--reason/ },
    { args: ["app", "remove", "web", "--reason", "x"], says: /web is removed/ },
    { args: ["hosts", "decommission", "h1"], code: 2, says: /--reason/ },
    { args: ["hosts", "decommission", "h1", "--reason", "x"], says: /host h1 is out of the fleet/ },
    {
      args: ["members"],
      says: /h1 +host +eu .* for 1 h.*, released.*\nh2 .* revoked .*\nb1 +builder/,
    },
    { args: ["members", "--role", "builder"], says: /^MEMBER.*\nb1 .* ended 0 s ago/ },
    { args: ["members", "--role", "boss"], code: 2, says: /host, region or builder/ },
    { args: ["members", "revoke", "x"], code: 2, says: /--reason/ },
    { args: ["members", "revoke", "x", "--reason", "r"], code: 3, says: /there is no member x/ },
    { args: ["members", "revoke", "x", "--reason", "r", "--allow-missing"], says: /x is revoked/ },
    { args: ["members", "release", "x", "--reason", "r"], says: /x is released/ },
    { args: ["hosts", "logs", "gone", "--app", "web"], code: 3, says: /there is no host gone/ },
    {
      args: ["deploy", "frozen"],
      code: 4,
      says: /region eu is frozen\n.*--override-freeze --reason WHY/,
    },
    { args: ["deploy", "frozen", "--override-freeze"], code: 2, says: /say with --reason why/ },
    {
      args: ["deploy", "frozen", "--override-freeze", "--reason", "x", "--detach"],
      says: /has started/,
    },
    { args: ["status", "web"], says: /^web was removed 0 s ago: no host runs it\n\ndeployment / },
    {
      args: ["status", "again"],
      says: new RegExp(
        `again .* not deployed.*\n\nIt was removed .*no host runs them\n\n.*\n.*${BACK}`,
      ),
    },
    { args: ["watch", "idle"], code: 4, says: /no deployment of idle is under way/ },
    {
      args: ["watch", "web"],
      code: 1,
      says: new RegExp(`was aborted\nWhat ran before is put back; .*slipway watch ${BACK}`),
    },
  ];
  const queue = [...cases];
  const work = async (): Promise<void> => {
    for (let one = queue.shift(); one !== undefined; one = queue.shift()) {
      const { code, stdout, stderr } = await slipway(server, one.args);
      const said = `slipway ${one.args.join(" ")}: ${code}\n${stdout}\n${stderr}`;
      assert.is(code, one.code ?? 0, said);
      assert.match(code === 0 ? stdout : stdout + stderr, one.says, said);
    }
  };
  await Promise.all([work(), work(), work()]);
});

test("--json prints one document of each", async ({ server }) => {
  const cases: [string[], string[]][] = [
    [["pause", "web"], ["deployment"]],
    [["resume", "web"], ["deployment"]],
    [["promote", "web"], ["deployment"]],
    [
      ["abort", "web"],
      ["deployment", "rollBack"],
    ],
    [["freeze", "create", "--app", "web", "--for", "1h", "--reason", "x"], ["freeze"]],
    [["freeze", "list"], ["freezes"]],
    [["freeze", "end", "f1"], ["freezeId"]],
    [["audit"], ["entries"]],
    [["app", "remove", "web", "--reason", "x"], ["application"]],
    [["hosts", "decommission", "h1", "--reason", "x"], ["hostId"]],
    [["members"], ["members"]],
    [["members", "release", "h1", "--reason", "x"], ["memberId"]],
    [["members", "revoke", "h1", "--reason", "x", "--allow-missing"], ["memberId"]],
    [["deploy", "b1", "--plan"], ["plan"]],
    [["rollback", "web", "--plan"], ["plan"]],
    [["rollback", "web", "--detach"], ["deployment"]],
  ];
  const work = async (): Promise<void> => {
    for (let one = cases.shift(); one !== undefined; one = cases.shift()) {
      const [args, keys] = one;
      const { code, stdout, stderr } = await slipway(server, [...args, "--json"]);
      assert.is(code, 0, `${args.join(" ")}\n${stderr}`);
      assert.equal(Object.keys(JSON.parse(stdout) as object), keys);
      assert.is(stderr, "");
    }
  };
  await Promise.all([work(), work(), work()]);
});

test("who asks, and what for, is sent", async ({ server }) => {
  const lastOf = (method: string): Record<string, unknown> =>
    server.requests.filter((one) => one.method === method).at(-1)?.request ?? {};
  await slipway(server, ["promote", "web", "--reason", "flat"]);
  const promoted = lastOf("promoteDeployment");
  assert.equal([promoted["id"], promoted["step"], promoted["reason"]], [ID, 2, "flat"]);
  assert.is.not(promoted["actor"], "");
  const since = ["--action", "deployment", "--deployment", ID, "--actor", "ada"];
  await slipway(server, ["audit", "--since", "2026-12-24", ...since]);
  const asked = lastOf("listAuditEntries");
  assert.equal(asked["after"], new Date("2026-12-24T00:00:00Z"));
  assert.equal([asked["action"], asked["deploymentId"], asked["actor"]], ["deployment", ID, "ada"]);
  await slipway(server, ["hosts", "decommission", "h1", "--reason", "broken"]);
  assert.is(lastOf("decommissionHost")["reason"], "broken");
  await slipway(server, ["members", "release", "h1", "--reason", "new disk"]);
  const { id, actor, reason } = lastOf("releaseMember");
  assert.equal([id, reason], ["h1", "new disk"]);
  assert.is.not(actor, "");
});

test("deploys by a strategy file, and says by its lines what is refused", async ({
  server,
  folder,
}) => {
  const file = path.join(folder, "careful.yaml");
  await writeFile(file, "waves:\n  - regions: [eu]\n    percents: [50, 10]\n");
  const refused = await slipway(server, ["deploy", "bad", "--strategy", file]);
  assert.is(refused.code, 4);
  assert.match(refused.stderr, `${file}:3 waves[0].percents[1]: must rise`);
  assert.match(refused.stderr, "\n  build_id: must be a UUID");
  const calls = server.calls.length;
  const wrong = await slipway(server, ["deploy", "b1", "--strategy", "-"], "wave: 1\n");
  assert.is(wrong.code, 2);
  assert.match(wrong.stderr, "standard input:1: wave is not known; known here: waves");
  const empty = "waves:\n  - { regions: [eu], percents: [] }\nmaxSwitchingPercent: 0\n";
  const defaulted = await slipway(server, ["deploy", "b1", "--strategy", "-"], empty);
  assert.is(defaulted.code, 2);
  assert.match(defaulted.stderr, "standard input:2: waves[0].percents must not be empty");
  assert.match(
    defaulted.stderr,
    "standard input:3: maxSwitchingPercent must be a whole number from 1",
  );
  const none = await slipway(server, ["deploy", "b1", "--strategy", "-"], "waves: []\n");
  assert.match(none.stderr, "standard input:1: waves must not be empty");
  assert.is(server.calls.length, calls, "nothing was sent");
});

test("a plan shows steps, hosts and bytes, and changes nothing", async ({ server }) => {
  const calls = server.calls.length;
  const { stdout } = await slipway(server, ["deploy", "b1", "--plan"]);
  for (const line of [
    "hosts          5, of which 4 would download",
    "to move        at most 4.0 MiB",
    `supersedes     deployment ${ID}`,
    "back to        build b0",
    "drops          ap, sa\\u001b[2J: hosts there stop it once this has succeeded",
    "at once        25 % of a region's hosts, or one",
    "may fail       2 % of those told to switch; with more, hosts keep what they have",
    "may be silent  5 % of those; with more, it is paused until they are heard",
    "time limits    30m a step to get the bytes, 10m to switch, 6h in all",
    "step 1 of 2, wave 1 of 2: 10 % of eu, then watched for 30s",
    "  eu: about 3 of 30 hosts (1 to 6)",
    "step 2 of 2, wave 2 of 2: 100 % of eu, us, once somebody else approves",
    "  eu: 30 of 30 hosts, us\\u001b[2J: 2 of 2 hosts",
    "A percentage is of a draw, which each deployment makes anew: nine of ten are within the brackets.",
    "eu      3      2            2.0 MiB  complete        eu-1, eu-2\\u001b[2J",
    "us      2      2            2.0 MiB  unknown         no agent of the region answers: perhaps all",
  ]) {
    assert.ok(stdout.includes(`${line}\n`), `${line} in\n${stdout}`);
  }
  assert.match(
    stdout,
    /^application web is frozen until 2999-01-01T00:00:00\.000Z \(in .*\) by ann: holidays\nTo begin this is refused .*--override-freeze/,
  );
  assert.equal(server.calls.slice(calls), ["planDeployment"]);
});

test("a roll-back says first who has to download, and begins whatever comes of that", async ({
  server,
}) => {
  const calls = server.calls.length;
  const { stderr, code } = await slipway(server, ["rollback", "web", "--detach"]);
  assert.is(code, 0);
  assert.match(
    stderr,
    "eu: 2 of 3 hosts have to download it, at most 2.0 MiB: eu-1, eu-2\\u001b[2J\n",
  );
  assert.match(stderr, "us: 2 of 2 hosts have to download it, at most 2.0 MiB: no agent of the");
  assert.match(stderr, "drops ap, sa\\u001b[2J: hosts there stop it once this has succeeded\n");
  assert.equal(server.calls.slice(calls), ["planDeployment", "rollBack"]);
  const dark = await slipway(server, ["rollback", "dark", "--detach"]);
  assert.is(dark.code, 0);
  assert.match(
    dark.stderr,
    "going back without knowing which hosts have to download it: no answer",
  );
  assert.match(dark.stdout, "has started");
});

test("prints a host's log, and follows it until interrupted", async ({ server }) => {
  const { stdout } = await slipway(server, ["hosts", "logs", "h1", "--app", "web"]);
  assert.is(stdout, "one\n\u001b[2Jtwo ü\n");
  const json = await slipway(server, ["hosts", "logs", "h1", "--app", "web", "--json"]);
  assert.equal(JSON.parse(json.stdout), {
    type: "log",
    content: "one\n\u001b[2Jtwo ü\n",
    position: "1",
    gap: false,
  });
  const args = ["hosts", "logs", "h1", "--app", "web", "-f", "--coordinator", server.address];
  const running = startCli(args);
  await running.until("three");
  await running.until("(lines before this were rotated away)");
  running.child.kill("SIGINT");
  assert.is((await running.ended).code, 130);
});

test.run();
