import { status } from "@grpc/grpc-js";
import {
  ArtifactQuery,
  ArtifactQueryReply,
  artifactQuerySubject,
  CreateDeploymentRequest,
  DeploymentState,
  HostPhase,
  ReplicationState,
  RollBackRequest,
  type PlanDeploymentResponse,
} from "@slipway/proto";
import type { Subscription } from "nats";
import { suite } from "uvu";
import * as assert from "uvu/assert";
import { createFreeze, endFreeze } from "../../src/freeze/freezes.js";
import { call } from "../call.js";
import { FakeRegion } from "./fake-region.js";
import {
  applyApplication,
  createDeployment,
  failure,
  insertBuild,
  replicate,
  startWorld,
  until,
  type Clients,
  type World,
} from "./world.js";

const REGIONS = ["eu", "us"];
const { COMPLETE, COPYING } = ReplicationState;

const test = suite("planning deployments");
let world: World;
let clients: Clients;
let agent: Subscription;
let asked: ArtifactQuery[];
let fakes: FakeRegion[];

test.before(async () => {
  world = await startWorld();
  ({ clients } = await world.coordinator({ reconcileIntervalMs: 300 }));
  const hosts = REGIONS.flatMap((region) =>
    [1, 2, 3].map((n) => ({
      hostId: `${region}-h${n}`,
      region,
      cell: "",
      labels: { tier: "web" },
    })),
  );
  await call(clients.fleet, "enrolHosts", { hosts });
  asked = [];
  // Of eu only: no agent of us answers.
  agent = world.nats.subscribe(artifactQuerySubject("eu"), {
    callback: (_, message) => {
      asked.push(ArtifactQuery.decode(message.data));
      const reply = { hostCount: 3, holdingCount: 2, missingHosts: ["eu-h3"] };
      message.respond(ArtifactQueryReply.encode(reply).finish());
    },
  });
  await world.nats.flush();
  fakes = await Promise.all(REGIONS.map((region) => FakeRegion.start(world.nats, region)));
});

test.after(async () => {
  for (const fake of fakes ?? []) fake.stop();
  agent?.unsubscribe();
  await world?.stop();
});

const planCreate = (request: object): Promise<PlanDeploymentResponse> =>
  call(clients.deployments, "planDeployment", {
    change: { $case: "create", value: CreateDeploymentRequest.fromPartial(request) },
  });

const create = (request: object): Promise<unknown> =>
  call(clients.deployments, "createDeployment", CreateDeploymentRequest.fromPartial(request));

const planRollBack = (application: string): Promise<PlanDeploymentResponse> =>
  call(clients.deployments, "planDeployment", {
    change: { $case: "rollBack", value: RollBackRequest.fromPartial({ application }) },
  });

/** Everything that a deployment could have changed. */
async function stored(): Promise<unknown> {
  return [await world.db("deployments").orderBy("id"), await world.db("audit_entries").count()];
}

async function build(name: string, version: string) {
  const selector = { tier: "web" };
  const application = await applyApplication(clients, name, REGIONS, { version, selector });
  return insertBuild(world.db, application);
}

test("a plan says what would be done, region by region, and does nothing", async () => {
  const first = await build("web", "1");
  await replicate(clients, first.digest, REGIONS);
  const running = await createDeployment(clients, { buildId: first.id });
  const { application, generation, id } = running;
  for (const fake of fakes) {
    await fake.report({ application, generation, phases: [[HostPhase.RUNNING, 3]] });
  }
  await until("the end", async () => {
    const { deployment } = await call(clients.deployments, "getDeployment", { id });
    return deployment?.state === DeploymentState.SUCCEEDED;
  });
  const second = await build("web", "2");
  await replicate(clients, second.digest, ["eu"]);
  await replicate(clients, second.digest, ["us"], COPYING);
  const pending = await createDeployment(clients, {
    buildId: second.id,
    waitForReplication: true,
  });
  await until("what it waits for", async () => {
    const answer = await call(clients.deployments, "getDeployment", { id: pending.id });
    return answer.deployment?.blockedBy !== "";
  });

  const before = await stored();
  const plan = await planCreate({ buildId: second.id, waitForReplication: true });
  assert.equal(
    [plan.application, plan.buildId, plan.commitSha, plan.artifactSizeBytes],
    ["web", second.id, second.commitSha, 1_000],
  );
  assert.equal([plan.supersedes, plan.previousBuildId], [pending.id, first.id]);
  assert.equal(
    plan.steps.map(({ regions, percent }) => [regions, percent]),
    [[REGIONS, 100]],
  );
  const three = { expectedHosts: 3, leastHosts: 3, mostHosts: 3 };
  assert.equal(
    plan.reaches,
    REGIONS.map((region) => ({ step: 1, region, hostCount: 3, ...three })),
  );
  const canary = { waves: [{ regions: ["eu"], percents: [10, 100] }, { regions: ["us"] }] };
  const careful = await planCreate({
    buildId: second.id,
    waitForReplication: true,
    strategy: canary,
  });
  assert.equal(careful.reaches, [
    { step: 1, region: "eu", hostCount: 3, expectedHosts: 1, leastHosts: 1, mostHosts: 1 },
    { step: 2, region: "eu", hostCount: 3, ...three },
    { step: 3, region: "us", hostCount: 3, ...three },
  ]);
  assert.equal(plan.regions, [
    {
      region: "eu",
      hostCount: 3,
      downloadCount: 1,
      downloadHosts: ["eu-h3"],
      bytesToMove: 1_000,
      replication: COMPLETE,
      unreachable: false,
    },
    {
      region: "us",
      hostCount: 3,
      downloadCount: 3,
      downloadHosts: ["us-h1", "us-h2", "us-h3"],
      bytesToMove: 3_000,
      replication: COPYING,
      unreachable: true,
    },
  ]);
  assert.equal(asked.at(-1), {
    application: "web",
    selector: { tier: "web" },
    artifactDigest: second.digest,
  });
  const back = await planRollBack("web");
  assert.equal([back.buildId, back.steps.length], [first.id, 1]);
  assert.equal(await stored(), before);
});

test("a plan while it is frozen says so, and creating it is refused", async () => {
  const { id } = await build("frozen-app", "1");
  const request = { buildId: id, waitForReplication: true };
  const expireTime = new Date(Date.now() + 3_600_000);
  const ann = { actor: "ann", reason: "holidays" };
  const scope = { application: "frozen-app" };
  const freeze = await createFreeze(world.db, scope, { expireTime, maxMs: 7_200_000 }, ann);
  const { freezes, buildId } = await planCreate(request);
  assert.is(buildId, id);
  assert.equal(
    freezes.map(({ actor, reason, expireTime: until }) => [actor, reason, until]),
    [["ann", "holidays", expireTime]],
  );
  const refused = await failure(create(request));
  assert.equal([refused.code, refused.reason], [status.FAILED_PRECONDITION, "FROZEN"]);
  const reason = "an outage";
  const overriding = await planCreate({ ...request, overrideFreeze: true, reason });
  assert.equal(overriding.freezes, []);
  await endFreeze(world.db, freeze.id, ann);
  assert.equal((await planCreate(request)).freezes, []);
});

test("a plan is refused as the deployment would be", async () => {
  const name = "mail";
  const unreplicated = await build(name, "1");
  const nothing = { change: undefined };
  const cases: [() => Promise<unknown>, status, string][] = [
    [
      () => planCreate({ buildId: unreplicated.id }),
      status.FAILED_PRECONDITION,
      "BUILD_NOT_REPLICATED",
    ],
    [() => planCreate({ buildId: "x" }), status.INVALID_ARGUMENT, "INVALID_ARGUMENT"],
    [() => planRollBack(name), status.FAILED_PRECONDITION, "NOTHING_TO_ROLL_BACK_TO"],
    [() => planRollBack("unknown"), status.NOT_FOUND, "APPLICATION_NOT_FOUND"],
    [
      () => call(clients.deployments, "planDeployment", nothing),
      status.INVALID_ARGUMENT,
      "INVALID_ARGUMENT",
    ],
  ];
  for (const [attempt, code, reason] of cases) {
    const refused = await failure(attempt());
    assert.equal([refused.code, refused.reason], [code, reason], refused.details);
  }
});

test.run();
