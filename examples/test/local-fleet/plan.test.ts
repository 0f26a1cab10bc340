import { test } from "uvu";
import * as assert from "uvu/assert";
import { planProcesses } from "../../src/local-fleet/command-lines.js";
import { processEnvironment } from "../../src/local-fleet/environment.js";
import { readableLogLine } from "../../src/local-fleet/log-lines.js";
import { resolveFleetOptions } from "../../src/local-fleet/options.js";
import { planFleet } from "../../src/local-fleet/plan.js";

const ground = {
  dir: "/fleet",
  natsUrl: "nats://127.0.0.1:1",
  regionNatsUrls: {},
  databaseUrl: "postgres://a",
  replicationDatabaseUrl: "postgres://b",
};

test("every process has a name, and a port that no other has", async () => {
  let port = 5_000;
  const options = resolveFleetOptions({ regions: ["eu", "us"], hostsPerRegion: 2, builders: 1 });
  const plan = await planFleet(options, ground, async () => port++);
  const processes = planProcesses(plan);
  assert.equal(
    processes.map(({ name }) => name),
    ["coordinator", "builder-1", "eu-agent", "us-agent", "eu-1", "eu-2", "us-1", "us-2"],
  );
  const listening = processes.flatMap(({ args }) => {
    const at = args.indexOf("--listen");
    return at < 0 ? [] : [args[at + 1]];
  });
  assert.is(new Set(listening).size, 7);
});

test("a host is told of its own region's seeder alone, and of its service's port", async () => {
  let port = 5_000;
  const options = resolveFleetOptions({ regions: ["eu", "us"], hostsPerRegion: 1 });
  const plan = await planFleet(options, ground, async () => port++);
  const host = planProcesses(plan).find(({ name }) => name === "us-1");
  const [us] = plan.regions.filter(({ region }) => region === "us");
  const value = (flag: string): string | undefined => host?.args[host.args.indexOf(flag) + 1];
  assert.is(value("--bootstrap"), `127.0.0.1:${us?.port}`);
  assert.is(value("--env"), `PORT=${plan.hosts[1]?.servicePort}`);
  assert.is(value("--identity"), "/fleet/data/us-1/identity.json");
  assert.is(value("--join-token-file"), "/fleet/tokens/join-host-us");
  assert.is(value("--root-public-key"), "/fleet/keys/root.key.pub");
});

test("several coordinators and agents of a region share the work, and its own NATS", async () => {
  let port = 5_000;
  const options = resolveFleetOptions({
    regions: ["eu"],
    hostsPerRegion: 1,
    coordinators: 2,
    agentsPerRegion: 2,
  });
  const regionNatsUrls = { eu: "nats://127.0.0.1:2" };
  const plan = await planFleet(options, { ...ground, regionNatsUrls }, async () => port++);
  const processes = planProcesses(plan);
  const valueOf = (name: string, flag: string): string | undefined => {
    const args = processes.find((each) => each.name === name)?.args ?? [];
    return args[args.indexOf(flag) + 1];
  };
  assert.equal(
    processes.map(({ name }) => name),
    ["coordinator-1", "coordinator-2", "builder-1", "builder-2"].concat([
      "eu-agent-1",
      "eu-agent-2",
      "eu-1",
    ]),
  );
  assert.is(valueOf("builder-1", "--coordinator"), "localhost:5000");
  assert.is(valueOf("builder-2", "--coordinator"), "localhost:5001");
  assert.is(valueOf("eu-agent-2", "--region-nats"), regionNatsUrls.eu);
  assert.is(valueOf("eu-agent-2", "--nats"), ground.natsUrl);
  assert.is(valueOf("eu-1", "--region-nats"), regionNatsUrls.eu);
  assert.is(valueOf("eu-1", "--bootstrap"), "127.0.0.1:5002,127.0.0.1:5003");
  for (const agent of ["eu-agent-1", "eu-agent-2"]) {
    const { args } = processes.find(({ name }) => name === agent) as { args: string[] };
    assert.ok(args.includes("--blob-store-shared"));
  }
});

test("options that make no fleet are refused", () => {
  for (const bad of [
    { regions: [] },
    { regions: ["eu", "eu"] },
    { hostsPerRegion: -1 },
    { builders: 1.5 },
    { coordinators: 0 },
    { agentsPerRegion: 11 },
  ]) {
    assert.throws(
      () => resolveFleetOptions(bad),
      (error: unknown) => error instanceof TypeError,
    );
  }
  assert.is(resolveFleetOptions().keep, false);
  assert.is(resolveFleetOptions({ dir: "/x" }).keep, true);
});

test("no option reaches the fleet's processes through the environment", () => {
  const env = {
    PATH: "/usr/bin::/node/bin",
    HOME: "/home/a",
    SLIPWAY_COORDINATOR: "elsewhere:1",
    NODE_OPTIONS: "--inspect",
    npm_config_x: "1",
    GIT_DIR: "/elsewhere",
    GIT_SSH_COMMAND: "ssh -i key",
  };
  assert.equal(processEnvironment(env, "/node/bin/node"), {
    PATH: "/node/bin:/usr/bin",
    HOME: "/home/a",
    GIT_SSH_COMMAND: "ssh -i key",
  });
});

test("log lines are made readable, and left alone if they are not JSON", () => {
  const time = Date.UTC(2026, 0, 1, 12, 0, 1, 23);
  const line = { level: 50, time, pid: 1, hostname: "h", msg: "went wrong", build: "b", n: [1] };
  assert.is(readableLogLine(JSON.stringify(line)), "12:00:01.023 error went wrong build=b n=[1]");
  const err = { type: "Error", message: "no", stack: "Error: no\n at x" };
  assert.is(readableLogLine(JSON.stringify({ level: 30, err })), "\n    Error: no\n     at x");
  assert.is(readableLogLine(JSON.stringify({ msg: "a", error: "no" })), "a \n    no");
  assert.is(readableLogLine("panic: {"), "panic: {");
  assert.is(readableLogLine("7"), "7");
});

test.run();
