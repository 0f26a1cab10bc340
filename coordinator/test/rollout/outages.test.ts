import {
  ApplicationGoal,
  DeploymentState,
  GLOBAL_GOALS_BUCKET,
  HostPhase,
  PauseReason,
  SignedGoal,
  type Deployment,
  type WatchDeploymentResponse,
} from "@slipway/proto";
import { suite } from "uvu";
import * as assert from "uvu/assert";
import { openSignedGoal } from "../../src/goal/signing.js";
import { FakeRegion } from "./fake-region.js";
import { call } from "../call.js";
import { deployNew, startWorld, until, type Clients, type World } from "./world.js";

const test = suite("outages");
let world: World;
let clients: Clients;
let region: FakeRegion;
let names = 0;

test.before(async () => {
  world = await startWorld();
  ({ clients } = await world.coordinator({ pollIntervalMs: 300, reconcileIntervalMs: 1_000 }));
  region = await FakeRegion.start(world.nats, "eu");
  const host = { hostId: "eu-h1", region: "eu", cell: "", labels: {} };
  await call(clients.fleet, "enrolHosts", { hosts: [host] });
});

test.after(async () => {
  region?.stop();
  await world?.stop();
});

const deploy = (): Promise<Deployment> => deployNew(world, clients, `app-${++names}`);

const arrive = ({ application, generation }: Deployment): Promise<void> =>
  region.report({ application, generation, phases: [[HostPhase.RUNNING, 1]] });

async function goalOf({ application }: Deployment): Promise<ApplicationGoal | undefined> {
  // A request that is made while the connection is away only ends by its time-out.
  const views = world.nats.jetstream({ timeout: 500 }).views;
  const bucket = await views.kv(GLOBAL_GOALS_BUCKET, { bindOnly: true, timeout: 500 });
  const entry = await bucket.get(application);
  return entry === null ? undefined : ApplicationGoal.decode(entry.value);
}

/** What a watch has said so far. */
function collect(id: string): WatchDeploymentResponse[] {
  const said: WatchDeploymentResponse[] = [];
  const stream = clients.deployments.watchDeployment({ id, afterRevision: 0 });
  stream.on("data", (response: WatchDeploymentResponse) => said.push(response));
  stream.on("error", () => undefined);
  return said;
}

/** Follows a deployment to the end of its stream, once that has begun. */
async function follow(id: string): Promise<{ final: Promise<DeploymentState | undefined> }> {
  const stream = clients.deployments.watchDeployment({ id, afterRevision: 0 });
  let last: DeploymentState | undefined;
  stream.on("data", ({ deployment }: WatchDeploymentResponse) => (last = deployment?.state));
  const final = new Promise<DeploymentState | undefined>((resolve, reject) => {
    stream.on("end", () => resolve(last));
    stream.on("error", reject);
  });
  final.catch(() => undefined);
  await until("the present state", () => last !== undefined);
  return { final };
}

test("a deployment made while NATS is away goes out when it is back", async () => {
  await world.natsServer.stop();
  const deployment = await deploy();
  assert.is(deployment.state, DeploymentState.PENDING);
  const { final } = await follow(deployment.id);
  await world.natsServer.start();
  const written = await until("the goal", () => goalOf(deployment).catch(() => undefined));
  assert.is(written.deploymentId, deployment.id);
  await region.beat();
  await arrive(deployment);
  assert.is(await final, DeploymentState.SUCCEEDED);
});

test("goals that NATS lost are written again from the database", async () => {
  const deployment = await deploy();
  await until("the goal", async () => (await goalOf(deployment)) !== undefined);
  await world.natsServer.lose();
  // The bucket is not there at first.
  const again = await until("the goal again", () => goalOf(deployment).catch(() => undefined));
  assert.is(again.deploymentId, deployment.id);
  const signed = openSignedGoal(
    SignedGoal.fromPartial(again.regions["eu"] ?? {}),
    world.goalPublicKey,
  );
  assert.ok((signed?.expireTime?.getTime() ?? 0) > Date.now() + 29 * 86_400_000);
});

test("while NATS is away nobody's silence is blamed, and no time passes", async () => {
  const deployment = await deploy();
  const { application, generation, id } = deployment;
  await region.report({ application, generation, phases: [[HostPhase.ACTIVATING, 1]] });
  const read = async () => (await call(clients.deployments, "getDeployment", { id })).deployment;
  await until("it switches", async () => (await read())?.state === DeploymentState.RUNNING);
  const said = collect(id);
  await until("the watch", () => said.length > 0);
  const before = Date.now();
  await world.natsServer.stop();
  const old = await until("that it may be old", () =>
    said.find(({ unheardSince }) => unheardSince),
  );
  const shown = await call(clients.deployments, "getDeployment", { id });
  const regions = await call(clients.fleet, "listRegions", {});
  const whole = { region: "", application: "", pageSize: 0, pageToken: "" };
  const hosts = await call(clients.fleet, "listHosts", whole);
  for (const { unheardSince } of [old, shown, regions, hosts]) {
    // Agents speak each second here: it was heard shortly before.
    assert.ok(Math.abs(Number(unheardSince) - before) < 10_000, String(unheardSince));
  }
  assert.is(Number(regions.unheardSince), Number(hosts.unheardSince), "one time for all");
  assert.is(regions.regions.length, 1, "what was known is shown");
  assert.is(hosts.hosts.length, 1);
  const held = await until(
    "what is wrong",
    async () => {
      const now = await read();
      assert.is(now?.state, DeploymentState.RUNNING);
      return now?.blockedBy === "" ? undefined : now;
    },
    40_000,
  );
  assert.match(held.blockedBy, /^the coordinator does not reach the global NATS/);
  await world.natsServer.start();
  await until("counts are of now again", async () => {
    return (await call(clients.deployments, "getDeployment", { id })).unheardSince === undefined;
  });
  await until("that who watches is told as well", () => said.at(-1)?.unheardSince === undefined);
  await until("that it hears again", async () => (await read())?.blockedBy === "", 20_000);
  await arrive(deployment);
  const done = await until("its end", async () => {
    const now = await read();
    return now?.state === DeploymentState.SUCCEEDED && now;
  });
  assert.ok(Number(done.deadline) > Number(held.deadline));
});

test("a region that is silent while NATS is there is", async () => {
  const deployment = await deploy();
  const { application, generation, id } = deployment;
  await region.report({ application, generation, phases: [[HostPhase.ACTIVATING, 1]] });
  const read = async () => (await call(clients.deployments, "getDeployment", { id })).deployment;
  await until("it switches", async () => (await read())?.state === DeploymentState.RUNNING);
  region.stop();
  const paused = await until(
    "a pause",
    async () => {
      const now = await read();
      return now?.state === DeploymentState.PAUSED && now;
    },
    40_000,
  );
  assert.is(paused.pause?.reason, PauseReason.REGION_SILENT);
  region = await FakeRegion.start(world.nats, "eu");
  await arrive(deployment);
  await until("its end", async () => (await read())?.state === DeploymentState.SUCCEEDED);
});

test("a watch and a deployment outlive a restart of Postgres", async () => {
  const deployment = await deploy();
  const { final } = await follow(deployment.id);
  const said = collect(deployment.id);
  await until("the watch", () => said.length > 0);
  await world.postgres.stop();
  const old = await until("that it may be old", () => said.find(({ staleSince }) => staleSince));
  assert.is(old.deployment?.id, deployment.id, "with what was last known");
  await world.postgres.start();
  await until("that it is of now again", () => said.at(-1)?.staleSince === undefined, 20_000);
  await arrive(deployment);
  assert.is(await final, DeploymentState.SUCCEEDED);
  const next = await deploy();
  await arrive(next);
  const { final: nextFinal } = await follow(next.id);
  assert.is(await nextFinal, DeploymentState.SUCCEEDED);
});

test("a watch goes on while the replication database hangs, and is not said to be old", async () => {
  const { id } = await deploy();
  const other = await deploy();
  await world.replicationDb("replications").update({ state: "COPYING" });
  const said = collect(id);
  await until("the watch", () => said.length > 0);
  const before = said.at(-1)?.deployment?.revision ?? 0;
  await world.replicationDb.transaction(async (trx) => {
    await trx.raw("lock table replications in access exclusive mode");
    const hangs = () =>
      world
        .replicationDb("pg_locks")
        .where({ granted: false })
        .pluck("pid")
        .then((pids) => pids.length > 0);
    await until("that somebody waits for it", hangs);
    // Nobody signals this one.
    await world.db("deployments").where({ id }).increment("revision", 1);
    await until("that it is read", () => (said.at(-1)?.deployment?.revision ?? 0) > before);
    // Who begins to watch now does not wait for it.
    const begun = collect(other.id);
    await until("the first state of another", () => begun.length > 0);
  });
  assert.equal(
    said.flatMap(({ staleSince }) => staleSince ?? []),
    [],
  );
  await world.replicationDb("replications").update({ state: "COMPLETE" });
});

test.run();
