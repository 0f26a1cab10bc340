import { DeploymentState, HostPhase, PauseReason, type Deployment } from "@slipway/proto";
import { suite } from "uvu";
import * as assert from "uvu/assert";
import { call } from "../call.js";
import { FakeRegion } from "./fake-region.js";
import {
  applyApplication,
  createDeployment,
  insertBuild,
  replicate,
  startWorld,
  until,
  type Clients,
  type TestStrategy,
  type World,
} from "./world.js";

const { RUNNING, ACTIVATING } = HostPhase;
const { PAUSED, SUCCEEDED } = DeploymentState;
const HOSTS = 4;
const EVERYWHERE: TestStrategy = {
  waves: [{ regions: ["*"], percents: [50, 100], bakeTime: { seconds: 0 } }],
  maxSwitchingPercent: 100,
};
/** A region is silent after 15 s. */
const SILENCE_MS = 40_000;

const test = suite("a silent region");
let world: World;
let clients: Clients;
let eu: FakeRegion;
let us: FakeRegion | undefined;
let names = 0;

test.before(async () => {
  world = await startWorld();
  ({ clients } = await world.coordinator({ reconcileIntervalMs: 300, pollIntervalMs: 300 }));
  const hosts = ["eu", "us"].flatMap((region) =>
    Array.from({ length: HOSTS }, (_, n) => {
      return { hostId: `${region}-h${n}`, region, cell: "", labels: {} };
    }),
  );
  await call(clients.fleet, "enrolHosts", { hosts });
  eu = await FakeRegion.start(world.nats, "eu");
});

test.after(async () => {
  eu?.stop();
  us?.stop();
  await world?.stop();
});

async function deploy(): Promise<Deployment> {
  const regions = ["eu", "us"];
  const strategy = EVERYWHERE;
  const application = await applyApplication(clients, `app-${++names}`, regions, { strategy });
  const { id: buildId, digest } = await insertBuild(world.db, application);
  // Nobody is in us who could fetch it.
  await replicate(clients, digest, ["eu"]);
  return createDeployment(clients, { buildId, waitForReplication: true });
}

const show = ({ id }: Deployment) => call(clients.deployments, "getDeployment", { id });

function reached(
  deployment: Deployment,
  what: string,
  check: (now: Deployment) => boolean,
): Promise<Deployment> {
  return until(
    what,
    async () => {
      const { deployment: now } = await show(deployment);
      return now !== undefined && check(now) && now;
    },
    SILENCE_MS,
  );
}

const report = (
  region: FakeRegion,
  { application, generation }: Deployment,
  phase: HostPhase,
): Promise<void> => region.report({ application, generation, phases: [[phase, HOSTS]] });

async function pausedFor(deployment: Deployment): Promise<void> {
  const { pause } = await reached(deployment, "a pause", ({ state }) => state === PAUSED);
  assert.is(pause?.reason, PauseReason.REGION_SILENT);
  const { id } = deployment;
  await call(clients.deployments, "resumeDeployment", { id, actor: "bob", reason: "" });
}

test("who resumes in spite of it goes on without it, and it comes to that when it is back", async () => {
  const deployment = await deploy();

  await report(eu, deployment, RUNNING);
  await pausedFor(deployment);
  const done = await reached(deployment, "its end", ({ state }) => state === SUCCEEDED);
  assert.equal(done.withoutRegions, ["us"]);
  us = await FakeRegion.start(world.nats, "us");
  const limit = await until("the goal of us", async () => {
    await report(us as FakeRegion, deployment, RUNNING);
    const { regions } = await show(deployment);
    const status = regions.find(({ region }) => region === "us")?.status;
    return status !== undefined && status.bucketLimit > 0 && status.bucketLimit;
  });
  assert.is(limit, 10_000);
});

test("heard again before the end, it takes part, and nothing that was done is lost", async () => {
  us?.stop();
  const deployment = await deploy();
  await report(eu, deployment, ACTIVATING);
  await pausedFor(deployment);
  const without = await reached(deployment, "eu to switch", ({ state, withoutRegions }) => {
    return state === DeploymentState.RUNNING && withoutRegions.length > 0;
  });
  assert.equal(without.withoutRegions, ["us"]);
  const before = await show(deployment);
  assert.equal(
    before.regions.map(({ bucketLimit }) => bucketLimit),
    [5_000, 0],
  );
  us = await FakeRegion.start(world.nats, "us");
  await report(us, deployment, ACTIVATING);
  await replicate(clients, deployment.artifactDigest, ["us"]);
  await until("us to switch as well", async () => {
    const { regions } = await show(deployment);
    return regions.every(({ bucketLimit }) => bucketLimit === 5_000);
  });
  await report(eu, deployment, RUNNING);
  await report(us, deployment, RUNNING);
  const done = await reached(deployment, "its end", ({ state }) => state === SUCCEEDED);
  assert.equal(done.withoutRegions, []);
  const { regions } = await show(deployment);
  assert.ok(regions.every(({ bucketLimit }) => bucketLimit === 10_000));
});

test.run();
