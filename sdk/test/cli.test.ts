import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import path from "node:path";
import { status } from "@grpc/grpc-js";
import {
  BuildFailureReason,
  BuildStatus,
  DeploymentState,
  HostPhase,
  LogSource,
} from "@slipway/proto";
import { suite } from "uvu";
import * as assert from "uvu/assert";
import { Refusal, ScriptedServer, type OpenCall } from "./support/scripted-server.js";
import { runCli, startCli, type Ended, type RunOptions } from "./support/run-cli.js";

const ENDLESS = "01920000-0000-7000-8000-00000000000e";
const FAILS = "01920000-0000-7000-8000-00000000000f";
const OTHER = "01920000-0000-7000-8000-000000000001";
const SHA = "0123456789abcdef0123456789abcdef01234567";
const build = { id: "b1", application: "web", commitSha: SHA, status: BuildStatus.SUCCEEDED };
const deployment = {
  id: "d1",
  application: "web",
  commitSha: SHA,
  buildId: "b1",
  previousBuildId: "b0",
};
const region = (running: number) => ({
  region: "eu",
  status: {
    hostCount: 2,
    phases: [
      { phase: HostPhase.RUNNING, count: running },
      { phase: HostPhase.STAGING, count: 2 - running },
    ].filter(({ count }) => count > 0),
    running: [{ buildId: "b1", count: running }],
  },
});
const buildEvent = (revision: number, state: BuildStatus, more: object = {}) => ({
  event: { $case: "build", value: { ...build, revision, status: state, ...more } },
});

const line = (sequence: number, text: string) => ({
  sequence,
  source: LogSource.STDOUT,
  text,
});

/** How the coordinator of these tests behaves; ids choose the outcome. */
const script = {
  unary: {
    applyApplication: ({ name, spec }: { name: string; spec: { regions: string[] } }) => {
      if (spec.regions.length === 0) {
        throw new Refusal(status.INVALID_ARGUMENT, "the application is not valid", "INVALID", [
          { field: "spec.build.artifact_path", description: "must be relative" },
          { field: "spec.regions", description: "must name one" },
        ]);
      }
      const unknown = spec.regions.filter((name) => name.startsWith("mars"));
      const warnings = unknown.map((name) => ({ region: name, message: `${name} is not known` }));
      return { application: { name, revision: 2, spec }, changed: true, warnings };
    },
    getApplication: ({ name }: { name: string }) => {
      if (name !== "web") throw new Refusal(status.NOT_FOUND, `there is no application ${name}`);
      const { source, build: how, run } = { source: { repository: "/r" }, build: {}, run: {} };
      const timeout = { seconds: 900, nanos: 0 };
      return {
        application: {
          name,
          revision: 2,
          spec: { source, build: { ...how, timeout }, run, regions: ["eu"] },
        },
      };
    },
    listApplications: () => ({ applications: [{ name: "web", revision: 2 }] }),
    submitBuild: ({ application }: { application: string }) => ({
      build: {
        ...build,
        id: application,
        status: BuildStatus.QUEUED,
        queueing: application === "lonely" ? { blockedBy: "no builder\u001b[2J" } : {},
      },
      submissionId: "s1",
    }),
    getBuild: ({ id }: { id: string }) => {
      if (id === "missing") throw new Refusal(status.NOT_FOUND, "there is no build missing");
      if (id === "busy") throw new Refusal(status.RESOURCE_EXHAUSTED, "too many calls");
      if (id === "secret") throw new Refusal(status.UNAUTHENTICATED, "no token");
      if (id === "broken") throw new Refusal(status.INTERNAL, "internal error");
      if (id === "slow") return new Promise(() => undefined);
      return { build: { ...build, id } };
    },
    listBuilds: ({ pageToken }: { pageToken: string }) => ({
      builds: Array.from({ length: 30 }, (_, index) => ({ ...build, id: `${pageToken}b${index}` })),
      nextPageToken: pageToken === "" ? "n" : "",
    }),
    cancelBuild: ({ id }: { id: string }) => {
      if (id === "ended") throw new Refusal(status.FAILED_PRECONDITION, "build ended has ended");
      return { build: { ...build, status: BuildStatus.FAILED } };
    },
    createDeployment: ({ buildId }: { buildId: string }) => {
      if (buildId !== "early") return { deployment: { ...deployment, id: buildId } };
      throw new Refusal(status.FAILED_PRECONDITION, "build early is not deployable yet");
    },
    rollBack: () => ({ deployment: { ...deployment, isRollback: true } }),
    getDeployment: () => ({
      deployment: { ...deployment, state: DeploymentState.SUCCEEDED },
      regions: [region(2)],
    }),
    listDeployments: () => ({ deployments: [deployment] }),
    listRegions: () => ({
      regions: [{ name: "eu", enrolledHostCount: 2, agents: [{ agentId: "eu-1" }] }],
    }),
    listHosts: ({ region: name }: { region: string }) => ({
      hosts: [{ enrolment: { hostId: "h\u001b[2J1", region: "eu" }, silent: true }],
      unreachableRegions: ["us"],
      ...(name === "dark" && {
        unheardSince: new Date(Date.now() - 20_000),
        natsAwaySince: { eu: new Date(Date.now() - 60_000) },
      }),
    }),
  },
  streams: {
    watchBuild: ({ request, call, send }: OpenCall) => {
      send(buildEvent(1, BuildStatus.RUNNING, { attempt: 1, builderId: "x" }));
      if (request["id"] === "endless") return;
      if (request["id"] === "chatty") {
        const lines = Array.from({ length: 200 }, (_, index) => line(index + 1, "x".repeat(1_000)));
        send({ event: { $case: "logs", value: { lines } } });
        return;
      }
      const lines = [line(1, "one"), line(2, "\u001b[2Jtwo")];
      if (request["logs"] === true) send({ event: { $case: "logs", value: { lines } } });
      const failed = request["id"] === "fails";
      const failure = { reason: BuildFailureReason.COMMAND_FAILED, message: "make exited with 2" };
      send(
        failed
          ? buildEvent(2, BuildStatus.FAILED, { failure })
          : buildEvent(2, BuildStatus.SUCCEEDED, { deployable: true }),
      );
      call.end();
    },
    watchDeployment: ({ request, send }: OpenCall) => {
      const state = (value: DeploymentState, revision: number, running: number) =>
        send({ deployment: { ...deployment, state: value, revision }, regions: [region(running)] });
      state(DeploymentState.RUNNING, 1, 0);
      if (request["id"] === ENDLESS) return;
      const failed = request["id"] === FAILS;
      state(failed ? DeploymentState.FAILED : DeploymentState.SUCCEEDED, 2, 2);
    },
  },
};

interface Context {
  server: ScriptedServer;
  folder: string;
}
const test = suite<Context>("cli");

test.before(async (context) => {
  context.server = await new ScriptedServer(script).start();
  context.folder = await mkdtemp(path.join(tmpdir(), "slipway-cli-"));
});
test.after(async ({ server, folder }) => {
  server.kill();
  await rm(folder, { recursive: true });
});

function slipway(server: ScriptedServer, args: string[], options: RunOptions = {}): Promise<Ended> {
  const env = { SLIPWAY_COORDINATOR: server.address, ...options.env };
  return runCli(args, { ...options, env });
}

/** Runs several at once: the tests wait for processes to start more than for anything else. */
async function each<T extends { args: string[] }>(
  server: ScriptedServer,
  cases: readonly T[],
  check: (ended: Ended, one: T) => void,
): Promise<void> {
  const queue = [...cases];
  const worker = async (): Promise<void> => {
    for (let one = queue.shift(); one !== undefined; one = queue.shift()) {
      check(await slipway(server, one.args), one);
    }
  };
  await Promise.all([worker(), worker(), worker()]);
}

test("exit codes", async ({ server }) => {
  const cases = [
    { args: ["build", "get", "b1"], code: 0, says: /status {7}SUCCEEDED/ },
    { args: ["build", "watch", "b1"], code: 0, says: /SUCCEEDED, deployable/ },
    { args: ["build", "watch", "fails"], code: 1, says: /command failed: make exited with 2/ },
    { args: ["watch", FAILS], code: 1, says: /slipway rollback web/ },
    { args: ["build", "get", "broken"], code: 1, says: /error: internal error/ },
    { args: ["bild"], code: 2, says: /Did you mean build/ },
    { args: ["build", "list", "--status", "odd"], code: 2, says: /Allowed choices/ },
    { args: ["hosts", "--limit", "0"], code: 2, says: /above 0/ },
    { args: ["regions", "--timeout", "10"], code: 2, says: /duration such as/ },
    { args: ["regions", "--coordinator", "nowhere"], code: 2, says: /is not host:port/ },
    { args: ["app", "apply", "-f", "/does/not/exist"], code: 2, says: /cannot read .*ENOENT/ },
    { args: ["build", "get", "missing"], code: 3, says: /there is no build missing/ },
    { args: ["deploy", "early"], code: 4, says: /not deployable yet/ },
    { args: ["build", "cancel", "ended"], code: 4, says: /has ended/ },
    { args: ["build", "get", "secret"], code: 4, says: /SLIPWAY_TOKEN/ },
    { args: ["build", "get", "slow", "--timeout", "200ms"], code: 5, says: /within 0.2 s/ },
    { args: ["build", "get", "busy", "--timeout", "1s"], code: 5, says: /too many calls/ },
    {
      args: ["regions", "--coordinator", "127.0.0.1:1", "--timeout", "1s"],
      code: 5,
      says: /cannot reach the coordinator at 127.0.0.1:1/,
    },
    {
      args: ["regions", "--coordinator", "127.0.0.1:1,127.0.0.1:2", "--timeout", "5s"],
      code: 5,
      says: /error: cannot reach a coordinator: at 127\.0\.0\.1:[12]: .+; at 127\.0\.0\.1:[12]: /,
    },
    { args: ["--help"], code: 0, says: /Exit codes:/ },
    { args: ["build", "submit", "--help"], code: 0, says: /--wait-deployable/ },
  ];
  await each(server, cases, ({ code, stdout, stderr }, one) => {
    const said = `slipway ${one.args.join(" ")}: ${code}\n${stdout}\n${stderr}`;
    assert.is(code, one.code, said);
    assert.match(code === 0 ? stdout : stdout + stderr, one.says, said);
    if (code !== 0 && code !== 1) assert.is(stdout, "", said);
  });
});

test("--json prints one document", async ({ server }) => {
  const cases = [
    { args: ["app", "list"], keys: ["applications"] },
    { args: ["app", "get", "web"], keys: ["application"] },
    { args: ["build", "submit", "web", SHA], keys: ["build", "submissionId", "merged"] },
    { args: ["build", "get", "b1"], keys: ["build"] },
    { args: ["build", "list"], keys: ["builds"] },
    { args: ["build", "cancel", "b1"], keys: ["build"] },
    { args: ["deploy", "b1", "--detach"], keys: ["deployment"] },
    { args: ["rollback", "web", "--detach"], keys: ["deployment"] },
    { args: ["regions"], keys: ["regions"] },
    { args: ["hosts"], keys: ["hosts", "unreachableRegions"] },
    { args: ["status"], keys: ["regions", "applications"] },
    { args: ["status", "web"], keys: ["application", "deployment", "regions"] },
  ].map(({ args, keys }) => ({ args: [...args, "--json"], keys }));
  await each(server, cases, ({ code, stdout, stderr }, { args, keys }) => {
    assert.is(code, 0, `${args.join(" ")}\n${stderr}`);
    assert.equal(Object.keys(JSON.parse(stdout) as object), keys);
  });
});

test("--json prints one event a line", async ({ server }) => {
  const cases = [
    { args: ["build", "watch", "b1"], types: ["build", "log", "log", "build"] },
    { args: ["build", "watch", "b1", "--no-logs"], types: ["build", "build"] },
    { args: ["build", "logs", "b1", "-f"], types: ["log", "log"] },
    {
      args: ["build", "submit", "web", SHA, "--wait-deployable"],
      types: ["submitted", "build", "log", "log", "build"],
    },
    { args: ["watch", OTHER], types: ["deployment", "deployment"] },
    { args: ["deploy", "b1"], types: ["deployment", "deployment"] },
    { args: ["rollback", "web"], types: ["deployment", "deployment"] },
  ].map(({ args, types }) => ({ args: [...args, "--json"], types }));
  await each(server, cases, ({ code, stdout, stderr }, { args, types }) => {
    assert.is(code, 0, `${args.join(" ")}\n${stderr}`);
    const events = stdout
      .trim()
      .split("\n")
      .map((line) => JSON.parse(line) as { type: string });
    assert.equal(
      events.map(({ type }) => type),
      types,
    );
    assert.is(stderr, "");
  });
});

test("an error with --json is an object on standard error", async ({ server }) => {
  const { code, stdout, stderr } = await slipway(server, ["build", "get", "missing", "--json"]);
  assert.is(code, 3);
  assert.is(stdout, "");
  const { error } = JSON.parse(stderr) as { error: Record<string, unknown> };
  assert.is(error["code"], "NOT_FOUND");
  assert.is(error["retryable"], false);
});

test("applies a file, and says by its lines what the coordinator refuses", async ({
  server,
  folder,
}) => {
  const file = path.join(folder, "app.yaml");
  const good = `name: web
repository: /srv/web.git
build: {command: [make], artifact: /out/web, timeout: 15m}
run: {command: [./web]}
regions: [eu]
`;
  await writeFile(file, good);
  const applied = await slipway(server, ["app", "apply", "-f", file]);
  assert.is(applied.stdout, "applied web revision 2\n", applied.stderr);
  assert.is(applied.stderr, "");
  const input = good.replace("[eu]", "[eu, mars]");
  const warned = await slipway(server, ["app", "apply", "-f", "-"], { input });
  assert.equal(
    [warned.code, warned.stdout, warned.stderr],
    [0, "applied web revision 2\n", "warning: mars is not known\n"],
  );
  const json = await slipway(server, ["app", "apply", "-f", "-", "--json"], { input });
  assert.is(JSON.parse(json.stdout).warnings[0].region, "mars");
  assert.is(json.stderr, "");
  const bad = good.replace("[eu]", "[]");
  const refused = await slipway(server, ["app", "apply", "-f", "-"], { input: bad });
  assert.is(refused.code, 4);
  assert.match(refused.stderr, "error: the coordinator refused standard input");
  assert.match(refused.stderr, "standard input:3 build.artifact: must be relative");
  assert.match(refused.stderr, "standard input:5 regions: must name one");
  const calls = server.calls.length;
  const wrong = await slipway(server, ["app", "apply", "-f", "-"], { input: `${good}oops: 1\n` });
  assert.is(wrong.code, 2);
  assert.match(wrong.stderr, "standard input:6: oops is not known");
  assert.is(server.calls.length, calls, "nothing was sent");
  const got = await slipway(server, ["app", "get", "web"]);
  assert.match(got.stdout, /^# web revision 2\nname: web\nrepository: \/r\n[^]*timeout: 15m\n/);
});

test("prints plain lines where there is no terminal", async ({ server }) => {
  const deployed = await slipway(server, ["deploy", "b1"]);
  assert.equal(deployed.stdout.split("\n").slice(0, 4), [
    "deployment d1 of web RUNNING",
    "eu: 0/2 running, 2 staging",
    "deployment d1 of web SUCCEEDED",
    "eu: 2/2 running",
  ]);
  assert.match(deployed.stdout, "web 0123456789ab runs on every host");
  const logs = await slipway(server, ["build", "logs", "b1"]);
  assert.is(logs.stdout, "one\n\u001b[2Jtwo\n");
  const list = await slipway(server, ["build", "list"]);
  assert.is(list.stdout.trim().split("\n").length, 21);
  assert.match(list.stderr, "--limit all");
  const hosts = await slipway(server, ["hosts"]);
  assert.match(hosts.stdout, "h\\u001b[2J1");
  assert.match(hosts.stderr, "No agent answered in time in: us");
  const fleet = await slipway(server, ["status"]);
  assert.match(fleet.stdout, /web +0 +0123456789ab +SUCCEEDED .* 2\/2 +2 × b1/);
});

test("hosts that cannot be heard are not blamed", async ({ server }) => {
  const { stdout, stderr } = await slipway(server, ["hosts", "--region", "dark"]);
  assert.match(stdout, /^the coordinator has not heard over the global NATS for \d+ s: /);
  assert.match(
    stdout,
    /\nthe NATS of region eu has been away for 1 min( \d+ s)?: its hosts cannot be heard\n/,
  );
  assert.is(stderr, "");
  const json = await slipway(server, ["hosts", "--region", "dark", "--json"]);
  const keys = ["hosts", "unreachableRegions", "unheardSince", "natsAwaySince"];
  assert.equal(Object.keys(JSON.parse(json.stdout) as object), keys);
});

test("a submission says that nobody is there to build it, beside its document", async ({
  server,
}) => {
  const lonely = await slipway(server, ["build", "submit", "lonely", SHA, "--json"]);
  assert.is(lonely.stderr, "held up: no builder\\u001b[2J\n");
  assert.is(JSON.parse(lonely.stdout).build.queueing.blockedBy, "no builder\u001b[2J");
  assert.is((await slipway(server, ["build", "submit", "web", SHA])).stderr, "");
});

test("takes the token from the environment, and sends who submits", async ({ server }) => {
  const env = { SLIPWAY_TOKEN: "t0ken" };
  await slipway(server, ["build", "submit", "web", SHA, "--key", "mine"], { env });
  const { request, metadata } = server.requests.at(-1)!;
  assert.equal(metadata.get("authorization"), ["Bearer t0ken"]);
  assert.is(request["idempotencyKey"], "mine");
  assert.is.not(request["submitter"], "");
});

for (const signal of ["SIGINT", "SIGTERM"] as const) {
  test(`${signal} ends a watch with 130, and says that the deployment goes on`, async ({
    server,
  }) => {
    const running = startCli(["watch", ENDLESS, "--coordinator", server.address]);
    await running.until("eu: 0/2 running");
    running.child.kill(signal);
    const { code, stderr } = await running.ended;
    assert.is(code, 130);
    assert.match(stderr, `The deployment goes on. See it again with: slipway watch ${ENDLESS}`);
  });
}

test("a reader that goes away ends it quietly", async ({ server }) => {
  const running = startCli(["build", "logs", "-f", "chatty", "--coordinator", server.address]);
  running.child.stdout.once("data", () => running.child.stdout.destroy());
  const { code, stderr } = await running.ended;
  assert.is(stderr, "");
  assert.is(code, 0);
});

test("a watch goes on when the coordinator is restarted", async () => {
  let streams = 0;
  const server = await new ScriptedServer({
    streams: {
      watchDeployment: (open) => {
        streams++;
        if (streams === 1) script.streams.watchDeployment({ ...open, request: { id: ENDLESS } });
        else script.streams.watchDeployment(open);
      },
    },
  }).start();
  try {
    const running = startCli(["watch", OTHER, "--coordinator", server.address]);
    await running.until("eu: 0/2 running");
    server.kill();
    await running.until("trying again");
    await server.start();
    const { code, stdout } = await running.ended;
    assert.is(code, 0);
    assert.is(stdout.match(/SUCCEEDED/g)?.length, 1);
    assert.is(stdout.match(/RUNNING/g)?.length, 1);
  } finally {
    server.kill();
  }
});

test.run();
