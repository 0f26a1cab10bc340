import { status } from "@grpc/grpc-js";
import {
  ApplicationGoal,
  DeploymentFailureReason,
  DeploymentState,
  GLOBAL_GOALS_BUCKET,
  HostFailureReason,
  HostPhase,
  ReplicationState,
  OnFailure,
  SignedGoal,
  Strategy,
  type CreateDeploymentRequest,
  type Deployment,
  type Goal,
} from "@slipway/proto";
import type { KV } from "nats";
import { suite } from "uvu";
import * as assert from "uvu/assert";
import { openSignedGoal } from "../../src/goal/signing.js";
import { FakeRegion } from "./fake-region.js";
import { call } from "../call.js";
import {
  applyApplication,
  AT_ONCE,
  createDeployment,
  failure,
  insertBuild,
  replicate,
  startWorld,
  until,
  type Clients,
  type TestBuild,
  type World,
} from "./world.js";

const { RUNNING, STAGING, ACTIVATING, FAILED } = HostPhase;
const REGIONS = ["eu", "us"];

const test = suite("deployments");
let world: World;
let clients: Clients;
let fakes: Record<string, FakeRegion>;
let names = 0;

test.before(async () => {
  world = await startWorld();
  ({ clients } = await world.coordinator({
    reconcileIntervalMs: 300,
    projectionIntervalMs: 500,
    pollIntervalMs: 300,
  }));
  const hosts = REGIONS.flatMap((region) =>
    [1, 2].map((n) => ({ hostId: `${region}-h${n}`, region, cell: "", labels: { tier: "web" } })),
  );
  await call(clients.fleet, "enrolHosts", { hosts });
  fakes = {};
  for (const region of REGIONS) fakes[region] = await FakeRegion.start(world.nats, region);
});

test.after(async () => {
  for (const fake of Object.values(fakes ?? {})) fake.stop();
  await world?.stop();
});

const freshName = (): string => `app-${++names}`;

function create(
  buildId: string,
  extra: Partial<CreateDeploymentRequest> = {},
): Promise<Deployment> {
  return createDeployment(clients, { buildId, creator: "tester", ...extra });
}

function rollBack(application: string, toBuildId = ""): Promise<Deployment> {
  const { deployments } = clients;
  const request = { application, toBuildId, creator: "t", reason: "", idempotencyKey: "" };
  return call(deployments, "rollBack", request).then(present);
}

function present({ deployment }: { deployment?: Deployment | undefined }): Deployment {
  if (deployment === undefined) throw new Error("no deployment in the answer");
  return deployment;
}

async function read(id: string): Promise<Deployment> {
  return present(await call(clients.deployments, "getDeployment", { id }));
}

function reached(id: string, state: DeploymentState): Promise<Deployment> {
  return until(`${id} to be ${DeploymentState[state]}`, async () => {
    const deployment = await read(id);
    return deployment.state === state && deployment;
  });
}

/** A build that is complete in both regions. */
async function deployable(name: string, version = "1"): Promise<TestBuild> {
  const application = await applyApplication(clients, name, REGIONS, { version });
  const build = await insertBuild(world.db, application);
  await replicate(clients, build.digest, REGIONS);
  return build;
}

const bucket = (): Promise<KV> =>
  world.nats.jetstream().views.kv(GLOBAL_GOALS_BUCKET, { bindOnly: true });

async function goalInBucket(application: string): Promise<ApplicationGoal | undefined> {
  const entry = await (await bucket()).get(application);
  return entry?.operation === "PUT" ? ApplicationGoal.decode(entry.value) : undefined;
}

/** The goal of one region, verified. */
async function published(application: string, generation: number): Promise<Goal> {
  const goal = await until(`generation ${generation} of ${application} in the bucket`, async () => {
    const found = await goalInBucket(application).catch(() => undefined);
    return found?.generation === generation && found;
  });
  assert.equal(Object.keys(goal.regions).sort(), REGIONS);
  const signed = goal.regions["eu"] ?? SignedGoal.fromPartial({});
  const opened = openSignedGoal(signed, world.goalPublicKey);
  if (opened === undefined) throw new Error("the goal's signature is not good");
  return opened;
}

async function everywhere(
  deployment: Deployment,
  phases: readonly (readonly [HostPhase, number])[],
): Promise<void> {
  const { application, generation } = deployment;
  for (const fake of Object.values(fakes)) await fake.report({ application, generation, phases });
}

async function succeed(build: TestBuild): Promise<Deployment> {
  const deployment = await create(build.id);
  await everywhere(deployment, [[RUNNING, 2]]);
  return reached(deployment.id, DeploymentState.SUCCEEDED);
}

test("the bucket is there before there is a goal, for regions to watch", async () => {
  await until("the bucket", async () => {
    const { views } = world.nats.jetstream();
    const found = await views.kv(GLOBAL_GOALS_BUCKET, { bindOnly: true });
    return (await found.status().catch(() => undefined))?.values === 0;
  });
});

test("a build is refused before it is replicated and accepted after", async () => {
  const name = freshName();
  const application = await applyApplication(clients, name, REGIONS);
  const build = await insertBuild(world.db, application);
  await replicate(clients, build.digest, ["eu"]);
  await replicate(clients, build.digest, ["us"], ReplicationState.COPYING);
  const refused = await failure(create(build.id));
  assert.is(refused.code, status.FAILED_PRECONDITION);
  assert.is(refused.reason, "BUILD_NOT_REPLICATED");
  assert.match(refused.details, /us is COPYING \(400 of 1000 bytes\)/);
  assert.not.match(refused.details, /eu is/);
  assert.is(await world.db("deployments").where({ application: name }).first(), undefined);

  await replicate(clients, build.digest, ["us"]);
  const deployment = await create(build.id);
  assert.is(deployment.state, DeploymentState.PENDING);
  assert.equal(
    [deployment.generation, deployment.commitSha, deployment.artifactDigest, deployment.creator],
    [1, build.commitSha, build.digest, "tester"],
  );
});

test("the goal is signed, and the deployment succeeds when every host runs it", async () => {
  const name = freshName();
  const build = await deployable(name, "7");
  const deployment = await create(build.id);
  const goal = await published(name, 1);
  assert.equal(
    [goal.application, goal.region, goal.deploymentId, goal.bucketLimit],
    [name, "eu", deployment.id, 0],
  );
  assert.equal(
    [goal.run?.buildId, goal.run?.artifactDigest, goal.run?.run?.environment],
    [build.id, build.digest, { VERSION: "7" }],
  );
  assert.is(goal.previous, undefined);
  await everywhere(deployment, [
    [RUNNING, 1],
    [STAGING, 1],
  ]);
  await fakes["eu"]?.report({ application: name, generation: 1, phases: [[RUNNING, 2]] });
  assert.is((await read(deployment.id)).state, DeploymentState.PENDING);
  await fakes["us"]?.report({
    application: name,
    generation: 1,
    phases: [
      [RUNNING, 1],
      [ACTIVATING, 1],
    ],
  });
  const running = await reached(deployment.id, DeploymentState.RUNNING);
  assert.ok(running.startTime !== undefined);
  await until("the goal to let hosts switch", async () => {
    return (await published(name, 1)).bucketLimit === 10_000;
  });
  await everywhere(deployment, [[RUNNING, 2]]);
  const done = await reached(deployment.id, DeploymentState.SUCCEEDED);
  assert.ok(done.finishTime !== undefined && done.revision > deployment.revision);
});

test("a warming region is not judged by", async () => {
  const deployment = await create((await deployable(freshName())).id);
  await fakes["us"]?.warming(true);
  await everywhere(deployment, [[RUNNING, 2]]);
  const { deployments } = clients;
  await until("the region to be warming", async () => {
    const { regions } = await call(deployments, "getDeployment", { id: deployment.id });
    return regions.some(({ region, warming }) => region === "us" && warming);
  });
  assert.is((await read(deployment.id)).state, DeploymentState.PENDING);
  await fakes["us"]?.warming(false);
  await reached(deployment.id, DeploymentState.SUCCEEDED);
});

test("it fails when more hosts fail than may, naming the host", async () => {
  const deployment = await create((await deployable(freshName())).id);
  const { application, generation } = deployment;
  await fakes["us"]?.report({ application, generation, phases: [[RUNNING, 2]] });
  await fakes["eu"]?.report({
    application,
    generation,
    phases: [
      [RUNNING, 1],
      [FAILED, 1],
    ],
    failures: [["eu-h2", HostFailureReason.UNHEALTHY, "503"]],
  });
  const failed = await reached(deployment.id, DeploymentState.FAILED);
  assert.is(failed.failure?.reason, DeploymentFailureReason.HOSTS_FAILED);
  assert.is(
    failed.failure?.message,
    "1 of 4 hosts that were told to switch failed, and at most 0 may: eu-h2 (UNHEALTHY: 503)",
  );
});

test("it fails whatever failed hosts say, also what a database does not take", async () => {
  const deployment = await create((await deployable(freshName())).id);
  const { application, generation } = deployment;
  await fakes["us"]?.report({ application, generation, phases: [[RUNNING, 2]] });
  await fakes["eu"]?.report({
    application,
    generation,
    phases: [[FAILED, 2]],
    failures: [
      ["eu-h1", HostFailureReason.UNHEALTHY, "a\0b'; drop table deployments; --"],
      ["\0", HostFailureReason.UNHEALTHY, "\ud800"],
    ],
  });
  const failed = await reached(deployment.id, DeploymentState.FAILED);
  assert.match(failed.failure?.message ?? "", "a\ufffdb'; drop table deployments; --");
});

test("it fails at its deadline, counting who is missing", async () => {
  const deployment = await create((await deployable(freshName())).id);
  await everywhere(deployment, [
    [RUNNING, 1],
    [ACTIVATING, 1],
  ]);
  await reached(deployment.id, DeploymentState.RUNNING);
  await world
    .db("deployments")
    .where({ id: deployment.id })
    .update({ deadline: world.db.raw("now() - interval '1 s'") });
  const failed = await reached(deployment.id, DeploymentState.FAILED);
  assert.is(failed.failure?.reason, DeploymentFailureReason.DEADLINE_EXCEEDED);
  assert.match(
    failed.failure?.message ?? "",
    /^not done by the deadline, in step 1 of 1 \(SWITCHING\): eu: of 2 told to switch 1 running, 1 activ/,
  );
});

test("a deployment that a coordinator without steps has made and started is gone on with", async () => {
  const { id, application } = await create((await deployable(freshName())).id);
  await published(application, 1);
  const old = { strategy: null, steps: null, limits: null, step_phase: "STAGING" };
  const started = { state: "RUNNING", start_time: world.db.fn.now() };
  const bumped = { revision: world.db.raw("revision + 1") };
  await world
    .db("deployments")
    .where({ id })
    .update({ ...old, ...started, ...bumped });
  const taken = await read(id);
  assert.equal(
    taken.steps.map(({ percent, regions }) => [percent, regions]),
    [[100, REGIONS]],
  );
  await everywhere(taken, [[RUNNING, 2]]);
  await reached(id, DeploymentState.SUCCEEDED);
  assert.is((await published(application, 1)).bucketLimit, 10_000);
});

test("a newer deployment supersedes, and its goal remembers what ran before", async () => {
  const name = freshName();
  const first = await succeed(await deployable(name));
  const second = await create((await deployable(name, "2")).id);
  const third = await create((await deployable(name, "3")).id);
  const over = await read(second.id);
  assert.equal([over.state, over.supersededBy], [DeploymentState.SUPERSEDED, third.id]);
  assert.equal([third.generation, third.previousBuildId], [3, first.buildId]);
  const goal = await published(name, 3);
  assert.is(goal.previous?.buildId, first.buildId);
  assert.is(goal.previousGeneration, 1, "who missed that one is to see it");
  assert.is((await read(first.id)).state, DeploymentState.SUCCEEDED);
});

test("of several made at the same instant one is left, each with its own generation", async () => {
  const name = freshName();
  const builds = [await deployable(name), await deployable(name, "2"), await deployable(name, "3")];
  const made = await Promise.all(builds.map(({ id }) => create(id)));
  assert.equal(new Set(made.map(({ generation }) => generation)), new Set([1, 2, 3]));
  const states = (await Promise.all(made.map(({ id }) => read(id)))).map(({ state }) => state);
  assert.equal(states.filter((state) => state === DeploymentState.PENDING).length, 1);
  assert.equal(states.filter((state) => state === DeploymentState.SUPERSEDED).length, 2);
  await published(name, 3);
});

test("an idempotency key names one deployment, and no other request", async () => {
  const name = freshName();
  const build = await deployable(name);
  const idempotencyKey = `key-${name}`;
  const made = await Promise.all([1, 2, 3].map(() => create(build.id, { idempotencyKey })));
  assert.is(new Set(made.map(({ id }) => id)).size, 1);
  const other = await deployable(name, "2");
  const refused = await failure(create(other.id, { idempotencyKey }));
  assert.equal([refused.code, refused.reason], [status.ALREADY_EXISTS, "IDEMPOTENCY_KEY_USED"]);
  // Under another application's lock the key is only found by its index.
  const elsewhere = await deployable(freshName());
  const key = `race-${name}`;
  const race = await Promise.allSettled([
    create(other.id, { idempotencyKey: key }),
    create(elsewhere.id, { idempotencyKey: key }),
  ]);
  const lost = race.flatMap((result) =>
    result.status === "rejected" ? (result.reason as { code: number }).code : [],
  );
  assert.is(race.filter((result) => result.status === "fulfilled").length, 1);
  assert.equal(lost, [status.ALREADY_EXISTS]);
});

test("asked to wait, it is pending until the last region holds the artifact", async () => {
  const name = freshName();
  const application = await applyApplication(clients, name, REGIONS);
  const build = await insertBuild(world.db, application);
  const waiting = await create(build.id, { waitForReplication: true });
  assert.equal([waiting.state, waiting.startTime], [DeploymentState.PENDING, undefined]);
  // Hosts stage what there is already.
  assert.is((await published(name, 1)).bucketLimit, 0);
  await everywhere(waiting, [[STAGING, 2]]);
  await replicate(clients, build.digest, ["eu"]);
  await until("what it waits for", async () => {
    const { blockedBy } = await read(waiting.id);
    return blockedBy === "the artifact is not complete in the store of us yet";
  });
  await replicate(clients, build.digest, ["us"]);
  await until("nothing to wait for", async () => (await read(waiting.id)).blockedBy === "");
  await everywhere(waiting, [[ACTIVATING, 2]]);
  const running = await reached(waiting.id, DeploymentState.RUNNING);
  assert.ok(running.startTime !== undefined);
});

test("a roll-back restores the earlier build with its revision, replicated or not", async () => {
  const name = freshName();
  const first = await deployable(name, "1");
  await succeed(first);
  await succeed(await deployable(name, "2"));
  await replicate(clients, first.digest, ["us"], ReplicationState.PENDING);
  const back = await rollBack(name);
  assert.equal(
    [back.buildId, back.applicationRevision, back.isRollback, back.generation, back.state],
    [first.id, 1, true, 3, DeploymentState.RUNNING],
  );
  const goal = await published(name, 3);
  assert.equal(
    [goal.run?.buildId, goal.run?.run?.environment, goal.previous?.run?.environment],
    [first.id, { VERSION: "1" }, { VERSION: "2" }],
  );
});

test("from a failed deployment a roll-back goes to the last success of another build", async () => {
  const name = freshName();
  const good = await deployable(name, "1");
  await succeed(good);
  const strategy = Strategy.fromPartial({ ...AT_ONCE, onFailure: OnFailure.STOP });
  const bad = await create((await deployable(name, "2")).id, { strategy });
  await everywhere(bad, [[FAILED, 2]]);
  await reached(bad.id, DeploymentState.FAILED);
  const back = await rollBack(name);
  assert.is(back.buildId, good.id);
  const named = await rollBack(name, bad.buildId);
  assert.equal([named.buildId, named.isRollback], [bad.buildId, true]);
  assert.is((await read(back.id)).state, DeploymentState.SUPERSEDED);
});

test("a bucket that is ahead raises an alarm and is not touched; the next goes above it", async () => {
  const name = freshName();
  const build = await deployable(name);
  await succeed(build);
  await published(name, 1);
  const ahead = ApplicationGoal.fromPartial({
    application: name,
    generation: 40,
    deploymentId: "x",
  });
  await (await bucket()).put(name, ApplicationGoal.encode(ahead).finish());
  await until("the alarm", () =>
    world.logs.find(
      ({ level, application, msg }) =>
        level === 50 && application === name && /ahead of the database/.test(String(msg)),
    ),
  );
  assert.is((await goalInBucket(name))?.generation, 40);
  const next = await create(build.id);
  assert.is(next.generation, 41);
  await published(name, 41);
});

test("a host that is ahead raises an alarm, and is overtaken", async () => {
  const name = freshName();
  const build = await deployable(name);
  await succeed(build);
  await fakes["eu"]?.ahead(name, 17);
  await until("the alarm", () =>
    world.logs.find(
      ({ level, application, ahead }) => level === 50 && application === name && ahead === 17,
    ),
  );
  assert.is((await goalInBucket(name))?.generation, 1);
  await until("a generation above the host's", async () => {
    const { generation } = await create(build.id);
    return generation >= 18;
  });
});

test("what cannot be done is refused with its reason and changes nothing", async () => {
  const name = freshName();
  const application = await applyApplication(clients, name, REGIONS);
  const failed = await insertBuild(world.db, application, "FAILED");
  const queued = await insertBuild(world.db, application, "QUEUED");
  const nowhere = await applyApplication(clients, freshName(), REGIONS, {
    selector: { tier: "db" },
  });
  const hostless = await insertBuild(world.db, nowhere);
  await replicate(clients, hostless.digest, REGIONS);
  const many = ["eu", "us", "r3", "r4", "r5"];
  const environment = Object.fromEntries(
    [1, 2, 3, 4, 5, 6, 7].map((n) => [`V${n}`, "x".repeat(32_000)]),
  );
  const large = await applyApplication(clients, freshName(), many, { environment });
  const oversized = await insertBuild(world.db, large);
  await replicate(clients, oversized.digest, many);
  const unknown = "01890000-0000-7000-8000-000000000000";
  const { deployments } = clients;
  const list = (request: object): Promise<unknown> =>
    call(deployments, "listDeployments", {
      application: "",
      pageSize: 0,
      pageToken: "",
      ...request,
    });
  const [{ count: before } = { count: 0 }] = await world.db("deployments").count();
  const cases: [() => Promise<unknown>, status, string, RegExp][] = [
    [
      () => create("nonsense"),
      status.INVALID_ARGUMENT,
      "INVALID_ARGUMENT",
      /build_id: must be a UUID/,
    ],
    [() => create(unknown), status.NOT_FOUND, "BUILD_NOT_FOUND", /no build/],
    [() => create(failed.id), status.FAILED_PRECONDITION, "BUILD_NOT_SUCCEEDED", /make: exit 2/],
    [() => create(queued.id), status.FAILED_PRECONDITION, "BUILD_NOT_SUCCEEDED", /it is QUEUED/],
    [() => create(hostless.id), status.FAILED_PRECONDITION, "NO_HOSTS", /no host with tier=db/],
    [
      () => create(oversized.id),
      status.FAILED_PRECONDITION,
      "GOAL_TOO_LARGE",
      /for 5 regions.*would have 11\d{5} bytes/,
    ],
    [() => read(unknown), status.NOT_FOUND, "DEPLOYMENT_NOT_FOUND", /no deployment/],
    [() => rollBack("unknown"), status.NOT_FOUND, "APPLICATION_NOT_FOUND", /no application/],
    [() => rollBack("Not A Name"), status.INVALID_ARGUMENT, "INVALID_ARGUMENT", /application/],
    [() => rollBack(name), status.FAILED_PRECONDITION, "NOTHING_TO_ROLL_BACK_TO", /never deployed/],
    [() => list({ pageToken: "x" }), status.INVALID_ARGUMENT, "INVALID_ARGUMENT", /page_token/],
    [() => list({ pageSize: 1_001 }), status.INVALID_ARGUMENT, "INVALID_ARGUMENT", /page_size/],
  ];
  for (const [attempt, code, reason, details] of cases) {
    const refused = await failure(attempt());
    assert.equal([refused.code, refused.reason], [code, reason], refused.details);
    assert.match(refused.details, details);
  }
  const single = await deployable(freshName());
  const only = await succeed(single);
  const nothing = await failure(rollBack(only.application));
  assert.equal(
    [nothing.code, nothing.reason],
    [status.FAILED_PRECONDITION, "NOTHING_TO_ROLL_BACK_TO"],
  );
  const [{ count: after } = { count: 0 }] = await world.db("deployments").count();
  assert.is(Number(after), Number(before) + 1);
});

test("deployments are listed newest first, in pages", async () => {
  const name = freshName();
  const build = await deployable(name);
  const made: string[] = [];
  for (let n = 0; n < 5; n += 1) made.unshift((await create(build.id)).id);
  const listed: string[] = [];
  let pageToken = "";
  do {
    const { deployments } = clients;
    const request = { application: name, pageSize: 2, pageToken };
    const page = await call(deployments, "listDeployments", request);
    listed.push(...page.deployments.map(({ id }) => id));
    pageToken = page.nextPageToken;
  } while (pageToken !== "");
  assert.equal(listed, made);
});

test.run();
