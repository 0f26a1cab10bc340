import { credentials, status } from "@grpc/grpc-js";
import {
  ApplicationGoal,
  BuildServiceClient,
  DeploymentState,
  GLOBAL_GOALS_BUCKET,
  ListApplicationsRequest,
  type Application,
  type Deployment,
  type Goal,
} from "@slipway/proto";
import { suite } from "uvu";
import * as assert from "uvu/assert";
import { openSignedGoal } from "../../src/goal/signing.js";
import { call } from "../call.js";
import { sha } from "../postgres.js";
import {
  applyApplication,
  createDeployment,
  failure,
  insertBuild,
  replicate,
  startWorld,
  until,
  type Clients,
  type TestBuild,
  type World,
} from "../rollout/world.js";

const test = suite("removing applications");
let world: World;
let clients: Clients;
let builds: BuildServiceClient;

test.before(async () => {
  world = await startWorld();
  const coordinator = await world.coordinator({
    reconcileIntervalMs: 300,
    projectionIntervalMs: 500,
  });
  ({ clients } = coordinator);
  builds = new BuildServiceClient(coordinator.address, credentials.createInsecure());
  const hosts = ["eu", "us"].map((region) => ({
    hostId: `${region}-1`,
    region,
    cell: "",
    labels: {},
  }));
  await call(clients.fleet, "enrolHosts", { hosts });
});
test.after(async () => {
  builds?.close();
  await world?.stop();
});

async function deployable(name: string, regions: string[], version = "1"): Promise<TestBuild> {
  const application = await applyApplication(clients, name, regions, { version });
  const build = await insertBuild(world.db, application);
  await replicate(clients, build.digest, regions);
  return build;
}

async function remove(name: string): Promise<Application> {
  const request = { name, actor: "ada", reason: "replaced" };
  const { application } = await call(clients.applications, "removeApplication", request);
  if (application === undefined) throw new Error("no application");
  return application;
}

async function read(id: string): Promise<Deployment> {
  const { deployment } = await call(clients.deployments, "getDeployment", { id });
  if (deployment === undefined) throw new Error("no deployment");
  return deployment;
}

async function goalOf(name: string): Promise<ApplicationGoal | undefined> {
  const kv = await world.nats.jetstream().views.kv(GLOBAL_GOALS_BUCKET);
  const entry = await kv.get(name);
  return entry?.operation === "PUT" ? ApplicationGoal.decode(entry.value) : undefined;
}

/** The goals of all regions, once the bucket has this generation. */
async function goals(name: string, generation: number): Promise<Record<string, Goal>> {
  const found = await until(`generation ${generation} of ${name}`, async () => {
    // NATS may be away, or have lost the bucket.
    const goal = await goalOf(name).catch(() => undefined);
    return goal?.generation === generation && goal;
  });
  return Object.fromEntries(
    Object.entries(found.regions).map(([region, signed]) => {
      const goal = openSignedGoal(signed, world.goalPublicKey);
      if (goal === undefined) throw new Error("not signed by the fleet's key");
      return [region, goal];
    }),
  );
}

const listed = async (includeRemoved: boolean): Promise<string[]> => {
  const request = ListApplicationsRequest.fromPartial({ includeRemoved });
  const { applications } = await call(clients.applications, "listApplications", request);
  return applications.map(({ name }) => name);
};
const refused = async (promise: Promise<unknown>): Promise<[number, string | undefined]> => {
  const { code, reason } = await failure(promise);
  return [code, reason];
};

test("its deployment is aborted and its hosts are told, in every region that it ever had", async () => {
  await createDeployment(clients, { buildId: (await deployable("shop", ["us"])).id });
  const build = await deployable("shop", ["eu"], "2");
  const deployment = await createDeployment(clients, { buildId: build.id });
  const application = await remove("shop");
  assert.ok(application.removeTime !== undefined);
  assert.is((await read(deployment.id)).state, DeploymentState.ABORTED);
  const told = await goals("shop", 3);
  assert.equal(
    Object.entries(told).map(([region, goal]) => [region, goal.removed, goal.run, goal.selector]),
    [
      ["eu", true, undefined, {}],
      ["us", true, undefined, {}],
    ],
  );
  const audit = (await world
    .db("audit_entries")
    .where({ application: "shop", actor: "ada" })
    .orderBy("id")) as Record<string, unknown>[];
  assert.equal(
    audit.map(({ action }) => action),
    ["deployment.abort", "application.remove"],
  );
  assert.equal((await remove("shop")).removeTime, application.removeTime);
});

test("nothing of it is built or deployed, and it is not listed", async () => {
  const build = await deployable("bank", ["eu"]);
  await createDeployment(clients, { buildId: build.id });
  const keyed = { application: "bank", commitSha: sha(2), idempotencyKey: "once", submitter: "" };
  const asked = await call(builds, "submitBuild", keyed);
  await remove("bank");
  assert.not((await listed(false)).includes("bank"));
  assert.ok((await listed(true)).includes("bank"));
  const expected = [status.FAILED_PRECONDITION, "APPLICATION_REMOVED"];
  assert.equal(await refused(createDeployment(clients, { buildId: build.id })), expected);
  const back = { application: "bank", toBuildId: "", creator: "", reason: "", idempotencyKey: "" };
  assert.equal(await refused(call(clients.deployments, "rollBack", back)), expected);
  const submission = { application: "bank", commitSha: sha(1), idempotencyKey: "", submitter: "" };
  assert.equal(await refused(call(builds, "submitBuild", submission)), expected);
  const again = await call(builds, "submitBuild", keyed);
  const ids = [again, asked].map(({ build: one, submissionId }) => [one?.id, submissionId]);
  assert.equal(ids[0], ids[1], "who did not hear the answer gets it still");
});

/** How many connections wait for a lock of this kind. */
const waiting = async (locktype: string): Promise<number> => {
  const rows: unknown[] = await world.db("pg_locks").where({ locktype, granted: false });
  return rows.length;
};

test("a build that is asked for while it is being removed waits for that, and is refused", async () => {
  await applyApplication(clients, "quay", ["eu"]);
  const holder = await world.db.transaction();
  await holder("applications").where({ name: "quay" }).forUpdate();
  const removed = remove("quay");
  await until("the removal to be under way", async () => (await waiting("transactionid")) === 1);
  const submission = { application: "quay", commitSha: sha(1), idempotencyKey: "", submitter: "" };
  const asked = refused(call(builds, "submitBuild", submission));
  await until("the submission to wait", async () => (await waiting("advisory")) === 1);
  await holder.commit();
  assert.ok((await removed).removeTime !== undefined);
  assert.equal(await asked, [status.FAILED_PRECONDITION, "APPLICATION_REMOVED"]);
  assert.equal(await world.db("builds").where({ application: "quay" }), []);
});

test("a removal waits for builds that are being asked for, and nothing comes after it", async () => {
  await applyApplication(clients, "jetty", ["eu"]);
  const holder = await world.db.transaction();
  await holder.raw("lock table build_submissions in exclusive mode");
  const submission = { application: "jetty", commitSha: sha(1), idempotencyKey: "", submitter: "" };
  const asked = call(builds, "submitBuild", submission);
  await until("the submission to wait", async () => (await waiting("relation")) === 1);
  const removed = remove("jetty");
  await until("the removal to wait", async () => (await waiting("advisory")) === 1);
  await holder.commit();
  const { build } = await asked;
  const { removeTime } = await removed;
  const entries = (await world
    .db("audit_entries")
    .where({ application: "jetty" })
    .whereIn("action", ["build.submit", "application.remove"])
    .orderBy("id")) as { action: string; build_id: string | null }[];
  assert.equal(
    entries.map((entry) => [entry.action, entry.build_id]),
    [
      ["build.submit", build?.id],
      ["application.remove", null],
    ],
  );
  assert.ok((build?.createTime ?? 0) < (removeTime ?? 0));
});

test("the goal that removes it is there again after the bucket was lost", async () => {
  await createDeployment(clients, { buildId: (await deployable("till", ["eu"])).id });
  await remove("till");
  await goals("till", 2);
  const kv = await world.nats.jetstream().views.kv(GLOBAL_GOALS_BUCKET);
  await kv.destroy();
  assert.is((await goals("till", 2))["eu"]?.removed, true);
});

test("removed while NATS is away, hosts are told when it is back", async () => {
  await createDeployment(clients, { buildId: (await deployable("night", ["eu"])).id });
  await goals("night", 1);
  await world.natsServer.stop();
  try {
    assert.ok((await remove("night")).removeTime !== undefined);
  } finally {
    await world.natsServer.start();
  }
  assert.is((await goals("night", 2))["eu"]?.removed, true);
});

test("applied again it is back, and its next deployment is above the removal", async () => {
  const build = await deployable("phoenix", ["eu"]);
  await createDeployment(clients, { buildId: build.id });
  await remove("phoenix");
  const back = await applyApplication(clients, "phoenix", ["eu"]);
  assert.equal([back.revision, back.removeTime, back.removalGeneration], [1, undefined, 2]);
  assert.equal(await applyApplication(clients, "phoenix", ["eu"]), back);
  const { application } = await call(clients.applications, "getApplication", {
    name: "phoenix",
    revision: 0,
  });
  assert.equal(application, back);
  assert.ok((await listed(false)).includes("phoenix"));
  const deployment = await createDeployment(clients, { buildId: build.id });
  assert.is(deployment.generation, 3);
  assert.equal(deployment.previousBuildId, "");
  assert.is((await goals("phoenix", 3))["eu"]?.removed, false);
  await remove("phoenix");
  assert.is((await goals("phoenix", 4))["eu"]?.removed, true);
});

test("one that was never deployed, and one that is not there", async () => {
  await applyApplication(clients, "paper", ["eu"]);
  assert.ok((await remove("paper")).removeTime !== undefined);
  const unknown = call(clients.applications, "removeApplication", {
    name: "nobody",
    actor: "",
    reason: "",
  });
  assert.is((await failure(unknown)).code, status.NOT_FOUND);
  const bad = { name: "No Name", actor: "\u001b", reason: "" };
  const refusal = await failure(call(clients.applications, "removeApplication", bad));
  assert.is(refusal.code, status.INVALID_ARGUMENT);
  assert.match(refusal.details, /^name: .*; actor: /);
});

test.run();
