import {
  BuilderServiceClient,
  BuildServiceClient,
  DeploymentState,
  GLOBAL_GOALS_BUCKET,
  HostPhase,
} from "@slipway/proto";
import { credentials, status } from "@grpc/grpc-js";
import { suite } from "uvu";
import * as assert from "uvu/assert";
import { call } from "../call.js";
import { TestBuilder } from "../fleet.js";
import { sha } from "../postgres.js";
import type { CoordinatorProcess } from "../process.js";
import { FakeRegion } from "../rollout/fake-region.js";
import {
  applyApplication,
  deployNew,
  failure,
  startWorld,
  until,
  type Clients,
  type World,
} from "../rollout/world.js";

const test = suite("metrics of a coordinator process");
let world: World;
let coordinator: CoordinatorProcess & { clients: Clients };
let clients: Clients;
let region: FakeRegion;
let url: string;

test.before(async () => {
  world = await startWorld();
  coordinator = await world.process("--metrics-listen=0");
  ({ clients } = coordinator);
  const { host, port } = await coordinator.logged("metrics are served");
  url = `http://${String(host)}:${String(port)}`;
  region = await FakeRegion.start(world.nats, "eu");
});
test.after(async () => {
  region?.stop();
  await world?.stop();
});

/** The samples by name and labels, as they are written. */
async function scrape(): Promise<Map<string, number>> {
  const response = await fetch(`${url}/metrics`);
  assert.is(response.status, 200);
  const lines = (await response.text()).split("\n").filter((line) => line.startsWith("slipway_"));
  return new Map(
    lines.map((line) => {
      const end = line.lastIndexOf(" ");
      return [line.slice(0, end), Number(line.slice(end + 1))];
    }),
  );
}

/** Waits until the samples are these. */
async function scraped(expected: Readonly<Record<string, number>>): Promise<void> {
  let seen = new Map<string, number>();
  await until("the samples", async () => {
    seen = await scrape();
    return Object.entries(expected).every(([name, value]) => seen.get(name) === value);
  }).catch(() => undefined);
  const actual = Object.fromEntries(Object.keys(expected).map((name) => [name, seen.get(name)]));
  assert.equal(actual, expected);
}

test("tells health, its version, and zeros before anything happens", async () => {
  assert.is((await fetch(`${url}/healthz`)).status, 200);
  await scraped({
    'slipway_coordinator_info{version="0.1.0"}': 1,
    'slipway_coordinator_connected{server="postgres"}': 1,
    'slipway_coordinator_connected{server="nats"}': 1,
    slipway_rollout_leader: 1,
    slipway_queue_builds: 0,
    slipway_queue_oldest_age_seconds: 0,
    slipway_coordinator_builders: 0,
    'slipway_agent_twins{role="builder"}': 0,
    'slipway_agent_twins{role="region"}': 0,
    'slipway_agent_twins{role="host"}': 0,
    'slipway_builds_total{event="leased"}': 0,
    'slipway_deployments{state="RUNNING"}': 0,
    'slipway_rollout_events_total{event="failed"}': 0,
    'slipway_notifications_total{result="given_up"}': 0,
    'slipway_goal_writes_total{result="conflict"}': 0,
    'slipway_goal_nonsense_total{what="goal"}': 0,
    'slipway_enrolments_total{result="skipped"}': 0,
  });
});

test("a build from the queue to its end, and who works on it", async () => {
  const security = credentials.createInsecure();
  const builds = new BuildServiceClient(coordinator.address, security);
  const builders = new BuilderServiceClient(coordinator.address, security);
  try {
    await applyApplication(clients, "shop", ["eu"]);
    const request = { application: "shop", commitSha: sha(1), idempotencyKey: "", submitter: "" };
    await call(builds, "submitBuild", request);
    await call(builds, "submitBuild", request);
    await scraped({
      slipway_queue_builds: 1,
      'slipway_builds_total{event="submitted"}': 1,
      'slipway_builds_total{event="merged"}': 1,
      'slipway_rpcs_total{method="/slipway.v1.BuildService/SubmitBuild",code="OK"}': 2,
    });
    assert.ok(((await scrape()).get("slipway_queue_oldest_age_seconds") ?? 0) > 0);
    const builder = new TestBuilder(builders);
    await builder.hello("b1", 1);
    const { lease } = await builder.hear("leased");
    if (lease === undefined) throw new Error("no lease was said");
    await scraped({
      slipway_queue_builds: 0,
      slipway_coordinator_builders: 1,
      'slipway_rpc_streams{method="/slipway.v1.BuilderService/Work"}': 1,
      'slipway_builds_total{event="leased"}': 1,
    });
    builder.complete(lease);
    await builder.hear("accepted");
    builder.complete({ ...lease, attempt: 9 });
    await builder.hear("lost");
    builder.end();
    await scraped({
      slipway_coordinator_builders: 0,
      'slipway_rpc_streams{method="/slipway.v1.BuilderService/Work"}': 0,
      'slipway_builds_total{event="succeeded"}': 1,
      'slipway_builds_total{event="lost"}': 1,
    });
  } finally {
    builds.close();
    builders.close();
  }
});

test("a deployment's steps, goals and refusals", async () => {
  const host = { hostId: "eu-h1", region: "eu", cell: "", labels: {} };
  const old = { ...host, hostId: "eu-old" };
  await call(clients.fleet, "enrolHosts", { hosts: [host, old] });
  const decommission = { hostId: "eu-old", actor: "", reason: "" };
  await call(clients.fleet, "decommissionHost", decommission);
  await call(clients.fleet, "enrolHosts", { hosts: [host, old] });
  const bucket = await world.nats.jetstream().views.kv(GLOBAL_GOALS_BUCKET);
  await bucket.put("web", "no goal at all");
  const { application, generation, id } = await deployNew(world, clients, "web");
  await scraped({
    'slipway_deployments{state="PENDING"}': 1,
    'slipway_enrolments_total{result="skipped"}': 1,
    'slipway_rollout_events_total{event="created"}': 1,
  });
  assert.ok(((await scrape()).get('slipway_goal_nonsense_total{what="goal"}') ?? 0) > 0);
  await region.report({ application, generation, phases: [[HostPhase.RUNNING, 1]] });
  await until("the end", async () => {
    const { deployment } = await call(clients.deployments, "getDeployment", { id });
    return deployment?.state === DeploymentState.SUCCEEDED;
  });
  await scraped({
    'slipway_deployments{state="PENDING"}': 0,
    'slipway_rollout_events_total{event="raised"}': 1,
    'slipway_rollout_events_total{event="baked"}': 1,
  });
  assert.ok(((await scrape()).get('slipway_goal_writes_total{result="written"}') ?? 0) >= 2);
  const missing = await failure(call(clients.deployments, "getDeployment", { id: host.hostId }));
  const code = status[missing.code];
  const method = "/slipway.v1.DeploymentService/GetDeployment";
  await scraped({ [`slipway_rpcs_total{method="${method}",code="${code}"}`]: 1 });
});

test("says what it cannot reach, and nothing that it does not know then", async () => {
  await world.natsServer.stop();
  await world.postgres.stop();
  await scraped({
    'slipway_coordinator_connected{server="postgres"}': 0,
    'slipway_coordinator_connected{server="nats"}': 0,
    slipway_rollout_leader: 0,
  });
  await until("the unknown to be left out", async () => {
    const names = [...(await scrape()).keys()];
    return !names.some((name) => /^slipway_(queue_|deployments)/.test(name));
  });
  await world.natsServer.start();
  await world.postgres.start();
  await scraped({
    'slipway_coordinator_connected{server="postgres"}': 1,
    'slipway_coordinator_connected{server="nats"}': 1,
    slipway_queue_builds: 0,
    'slipway_deployments{state="RUNNING"}': 0,
  });
});

test("what it tells has no ids and no names of users", async () => {
  const text = await (await fetch(`${url}/metrics`)).text();
  for (const name of ["shop", "web", "eu-h1", "eu-old", "b1"]) {
    assert.not.match(text, new RegExp(`"[^"]*\\b${name}\\b[^"]*"`), name);
  }
  assert.is(await coordinator.end("SIGTERM"), 0);
});

test.run();
