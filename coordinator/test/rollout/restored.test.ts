import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import path from "node:path";
import { credentials, status } from "@grpc/grpc-js";
import {
  ApplicationGoal,
  DeploymentState,
  GLOBAL_GOALS_BUCKET,
  HostPhase,
  MembershipServiceClient,
  type Deployment,
} from "@slipway/proto";
import { suite } from "uvu";
import * as assert from "uvu/assert";
import { call } from "../call.js";
import { makeKey } from "../keys/keys.js";
import { TestMember } from "../membership/test-member.js";
import { FakeRegion } from "./fake-region.js";
import {
  deployNew,
  failure,
  startWorld,
  until,
  type Clients,
  type TestStrategy,
  type World,
} from "./world.js";

const test = suite("a database that was restored from a backup");
let folder: string;
let world: World;
let region: FakeRegion;
let running: Awaited<ReturnType<World["coordinator"]>>;
let clients: Clients;
let members: MembershipServiceClient;
let membershipKeyFile: string;

const TWO_STEPS: TestStrategy = {
  waves: [{ regions: ["*"], percents: [50, 100], bakeTime: { seconds: 0 } }],
  maxSwitchingPercent: 100,
};

test.before(async () => {
  folder = await mkdtemp(path.join(tmpdir(), "slipway-restored-"));
  ({ file: membershipKeyFile } = await makeKey(folder, "membership"));
  world = await startWorld();
  await start();
  region = await FakeRegion.start(world.nats, "eu");
  const hosts = ["h1", "h2"].map((hostId) => ({ hostId, region: "eu", cell: "", labels: {} }));
  await call(clients.fleet, "enrolHosts", { hosts });
});
test.after(async () => {
  members?.close();
  region?.stop();
  await world?.stop();
  await rm(folder, { recursive: true, force: true });
});

async function start(): Promise<void> {
  running = await world.coordinator({
    membershipKeyFile,
    pollIntervalMs: 300,
    reconcileIntervalMs: 100,
    projectionIntervalMs: 200,
  });
  ({ clients } = running);
  members?.close();
  members = new MembershipServiceClient(running.address, credentials.createInsecure());
}

const read = async ({ id }: Pick<Deployment, "id">): Promise<Deployment> => {
  const { deployment } = await call(clients.deployments, "getDeployment", { id });
  if (deployment === undefined) throw new Error("no deployment");
  return deployment;
};
const reaches = (deployment: Deployment, state: DeploymentState) =>
  until(`state ${state}`, async () => (await read(deployment)).state === state);
const report = ({ application, generation }: Deployment, phase: HostPhase) =>
  region.report({ application, generation, phases: [[phase, 2]] });

async function succeed(name: string): Promise<Deployment> {
  const deployment = await deployNew(world, clients, name);
  await report(deployment, HostPhase.RUNNING);
  await reaches(deployment, DeploymentState.SUCCEEDED);
  return deployment;
}

async function goalOf(application: string): Promise<ApplicationGoal> {
  const kv = await world.nats.jetstream().views.kv(GLOBAL_GOALS_BUCKET, { bindOnly: true });
  const entry = await kv.get(application);
  if (entry === null) throw new Error("no goal");
  return ApplicationGoal.decode(entry.value);
}

test("puts nothing back, says what it has lost, and the next deployments go above", async () => {
  await succeed("shop");
  const under = await deployNew(world, clients, "shop", { strategy: TWO_STEPS });
  await report(under, HostPhase.ACTIVATING);
  await reaches(under, DeploymentState.RUNNING);
  await succeed("quay");
  const further = await deployNew(world, clients, "quay", { strategy: TWO_STEPS });
  await report(further, HostPhase.ACTIVATING);
  await reaches(further, DeploymentState.RUNNING);
  const [before, since] = [new TestMember("joined-before"), new TestMember("joined-since")];
  await call(members, "join", before.joins());
  await running.stop();
  await world.postgres.save();

  // What goes on after the backup.
  await start();
  await report(further, HostPhase.RUNNING);
  await reaches(further, DeploymentState.SUCCEEDED);
  const newest = await succeed("shop");
  const late = await succeed("late");
  await call(members, "join", since.joins());
  await call(members, "revokeMember", {
    id: "thief",
    actor: "ada",
    reason: "",
    allowMissing: true,
  });
  await running.stop();

  await world.postgres.restore();
  // The backup is older than the deployment was to take.
  await world
    .db("deployments")
    .whereIn("id", [under.id, further.id])
    .update({ deadline: new Date(Date.now() - 3_600_000) });
  world.logs.length = 0;
  await start();
  const held = await until("what is said of the one that was under way", async () => {
    const deployment = await read(under);
    return deployment.blockedBy !== "" && deployment;
  });
  assert.match(held.blockedBy, /holds generation 3 of another deployment.*deploy again/);
  const said = (what: RegExp) =>
    until(String(what), () => world.logs.find(({ msg }) => what.test(String(msg))));
  await until("the same of the other", async () =>
    /tells more hosts of eu to switch than the database knows.*deploy again/.test(
      (await read(further)).blockedBy,
    ),
  );
  for (const application of ["shop", "quay"]) {
    await until(`the alarm of ${application}`, () =>
      world.logs.some(
        ({ msg, ...of }) =>
          of["application"] === application &&
          /ahead of the database.*was a backup restored/.test(String(msg)),
      ),
    );
  }
  assert.is((await said(/the database has deployed nowhere/))["application"], "late");
  assert.equal((await said(/ids are revoked that the database knows nothing/))["ids"], ["thief"]);
  // Every round of the bucket has come by it several times by then.
  const rounds = (): number =>
    world.logs.filter(({ msg }) => /has deployed nowhere/.test(String(msg))).length;
  const enough = rounds() + 5;
  await until("five more rounds", () => rounds() >= enough);
  for (const deployment of [under, further]) {
    const { application } = deployment;
    assert.is((await read(deployment)).state, DeploymentState.RUNNING);
    const made = (await world.db("deployments").where({ application }).count())[0];
    assert.is(Number(made?.["count"]), 2, "nobody has put anything back");
  }
  assert.is((await goalOf("shop")).deploymentId, newest.id);
  assert.is((await goalOf("late")).deploymentId, late.id);

  const { time } = await call(members, "getTime", {});
  assert.ok((await call(members, "renew", before.renews(time))).grant);
  const stranger = await failure(call(members, "renew", since.renews(time)));
  assert.is(stranger.code, status.UNAUTHENTICATED);
  assert.ok((await call(members, "join", since.joins())).grant, "with the keys that it has");

  const again = await succeed("shop");
  assert.is(again.generation, 4);
  assert.is((await read(under)).state, DeploymentState.SUPERSEDED);
  assert.is((await succeed("late")).generation, 2);
  assert.is((await succeed("quay")).generation, 3);
});

test.run();
