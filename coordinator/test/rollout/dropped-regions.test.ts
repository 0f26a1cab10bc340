import { isDeepStrictEqual } from "node:util";
import {
  ApplicationGoal,
  CreateDeploymentRequest,
  DeploymentState,
  GLOBAL_GOALS_BUCKET,
  HostFailureReason,
  HostPhase,
  OnFailure,
  RollBackRequest,
  type Deployment,
} from "@slipway/proto";
import { suite } from "uvu";
import * as assert from "uvu/assert";
import { openSignedGoal } from "../../src/goal/signing.js";
import { call } from "../call.js";
import { FakeRegion } from "./fake-region.js";
import {
  applyApplication,
  AT_ONCE,
  createDeployment,
  insertBuild,
  replicate,
  startWorld,
  until,
  type World,
} from "./world.js";

const { RUNNING, FAILED } = HostPhase;
const { SUCCEEDED, ABORTED } = DeploymentState;
const HOSTS = 2;
const BOTH = ["eu", "us"];

const test = suite("regions that are dropped");
let world: World;
let coordinator: Awaited<ReturnType<World["coordinator"]>>;
let regions: Record<string, FakeRegion>;
let versions = 0;

test.before(async () => {
  world = await startWorld();
  // Goals are not put back in passing: what is told has to be told by who drives the deployment.
  coordinator = await world.coordinator({
    reconcileIntervalMs: 300,
    projectionIntervalMs: 3_600_000,
  });
  const hosts = BOTH.flatMap((region) =>
    Array.from({ length: HOSTS }, (_, n) => {
      return { hostId: `${region}-h${n}`, region, cell: "", labels: {} };
    }),
  );
  await call(coordinator.clients.fleet, "enrolHosts", { hosts });
  const started = BOTH.map(
    async (region) => [region, await FakeRegion.start(world.nats, region)] as const,
  );
  regions = Object.fromEntries(await Promise.all(started));
});

test.after(async () => {
  for (const fake of Object.values(regions ?? {})) fake.stop();
  await world?.stop();
});

/** A build of a revision of the application that has these regions. */
async function build(name: string, inRegions: string[]): Promise<string> {
  const strategy = { ...AT_ONCE, onFailure: OnFailure.ROLL_BACK };
  const version = String(++versions);
  const application = await applyApplication(coordinator.clients, name, inRegions, {
    version,
    strategy,
  });
  const { id, digest } = await insertBuild(world.db, application);
  await replicate(coordinator.clients, digest, inRegions);
  return id;
}

async function deploy(name: string, inRegions: string[]): Promise<Deployment> {
  return createDeployment(coordinator.clients, { buildId: await build(name, inRegions) });
}

/** All hosts of its regions come to this phase. */
async function report(
  { application, generation, regions: own }: Deployment,
  phase: HostPhase,
): Promise<void> {
  const failures = phase === FAILED ? ([["h0", HostFailureReason.EXITED, "exit 1"]] as const) : [];
  for (const region of own) {
    await regions[region]?.report({ application, generation, phases: [[phase, HOSTS]], failures });
  }
}

function reached(id: string, state: DeploymentState): Promise<Deployment> {
  return until(`${id} to be ${DeploymentState[state]}`, async () => {
    const { deployment } = await call(coordinator.clients.deployments, "getDeployment", { id });
    return deployment?.state === state && deployment;
  });
}

async function succeed(deployment: Deployment): Promise<Deployment> {
  await report(deployment, RUNNING);
  return reached(deployment.id, SUCCEEDED);
}

/** What the bucket says, by region: the generation, and that hosts are to stop it. */
async function told(name: string): Promise<Record<string, string>> {
  const kv = await world.nats.jetstream().views.kv(GLOBAL_GOALS_BUCKET);
  const entry = await kv.get(name);
  if (entry?.operation !== "PUT") return {};
  const parts = Object.entries(ApplicationGoal.decode(entry.value).regions).map(
    ([region, signed]) => {
      const goal = openSignedGoal(signed, world.goalPublicKey);
      if (goal?.region !== region) throw new Error(`not signed for ${region}`);
      const { generation, removed, run } = goal;
      if (removed !== (run === undefined)) throw new Error("removed, and yet something to run");
      return [region, removed ? `${generation} removed` : String(generation)] as const;
    },
  );
  return Object.fromEntries(parts);
}

/** Waits until the bucket says this of a generation or a later one, and nothing else. */
async function tells(name: string, expected: Record<string, string>): Promise<void> {
  let last: unknown;
  const same = async (): Promise<boolean> => {
    last = await told(name).catch((error: unknown) => String(error));
    return isDeepStrictEqual(last, expected);
  };
  await until(`${name} to be ${JSON.stringify(expected)}`, same).catch((error: unknown) => {
    throw new Error(`${String(error)}, but it was ${JSON.stringify(last)}`);
  });
}

const planned = async (
  change: { buildId: string } | { application: string },
): Promise<readonly string[]> => {
  const { deployments } = coordinator.clients;
  const plan = await call(deployments, "planDeployment", {
    change:
      "buildId" in change
        ? { $case: "create", value: CreateDeploymentRequest.fromPartial(change) }
        : { $case: "rollBack", value: RollBackRequest.fromPartial(change) },
  });
  return plan.droppedRegions;
};

test("their hosts run on until the deployment has succeeded, and are then told to stop", async () => {
  await succeed(await deploy("shop", BOTH));
  const buildId = await build("shop", ["eu"]);
  assert.equal(await planned({ buildId }), ["us"]);
  const second = await createDeployment(coordinator.clients, { buildId });
  assert.equal(second.droppedRegions, ["us"]);
  await tells("shop", { eu: "2" });
  assert.equal((await succeed(second)).droppedRegions, ["us"]);
  await tells("shop", { eu: "2", us: "2 removed" });
  const { message } = (await world
    .db("audit_entries")
    .where({ deployment_id: second.id, action: "deployment.create" })
    .first()) as { message: string };
  assert.match(message, "drops us once it has succeeded");
});

test("they are told again by all that follow, until one names the region again", async () => {
  await succeed(await deploy("bank", BOTH));
  await succeed(await deploy("bank", ["eu"]));
  const third = await deploy("bank", ["eu"]);
  assert.equal(third.droppedRegions, []);
  await tells("bank", { eu: "3", us: "3 removed" });
  await succeed(third);
  assert.equal(await planned({ buildId: await build("bank", BOTH) }), []);
  const fourth = await deploy("bank", BOTH);
  await tells("bank", { eu: "4", us: "4" });
  // Superseded before any host was told to switch; but new hosts of us have run what was before.
  const fifth = await deploy("bank", ["eu"]);
  assert.equal([fourth.droppedRegions, fifth.droppedRegions], [[], ["us"]]);
  await tells("bank", { eu: "5" });
  await succeed(fifth);
  await tells("bank", { eu: "5", us: "5 removed" });
});

test("a deployment that fails drops nothing, and what puts things back has the region again", async () => {
  await succeed(await deploy("mail", BOTH));
  const bad = await deploy("mail", ["eu"]);
  await report(bad, FAILED);
  const { rolledBackBy } = await reached(bad.id, DeploymentState.FAILED);
  await tells("mail", { eu: "3", us: "3" });
  const back = await reached(rolledBackBy, DeploymentState.RUNNING);
  assert.equal([back.regions, back.droppedRegions], [BOTH, []]);
  await succeed(back);
  const aborted = await deploy("mail", ["eu"]);
  await tells("mail", { eu: "4" });
  const request = { id: aborted.id, actor: "bob", reason: "", keepSwitched: true };
  await call(coordinator.clients.deployments, "abortDeployment", request);
  await reached(aborted.id, ABORTED);
  const next = await deploy("mail", ["eu"]);
  assert.equal(next.droppedRegions, ["us"]);
  await tells("mail", { eu: "5" });
});

test("a roll-back to a revision with fewer regions drops what it has not, once it has succeeded", async () => {
  await succeed(await deploy("news", ["eu"]));
  await succeed(await deploy("news", BOTH));
  assert.equal(await planned({ application: "news" }), ["us"]);
  const bad = await deploy("news", BOTH);
  await report(bad, FAILED);
  const { rolledBackBy } = await reached(bad.id, DeploymentState.FAILED);
  await succeed(await reached(rolledBackBy, DeploymentState.RUNNING));
  const request = RollBackRequest.fromPartial({ application: "news", creator: "bob" });
  const toFirst = await planned({ application: "news" });
  assert.equal(toFirst, ["us"]);
  const { deployment } = await call(coordinator.clients.deployments, "rollBack", request);
  if (deployment === undefined) throw new Error("no deployment");
  assert.equal([deployment.regions, deployment.droppedRegions], [["eu"], ["us"]]);
  await tells("news", { eu: "5" });
  await succeed(deployment);
  await tells("news", { eu: "5", us: "5 removed" });
});

test("what was removed and is back in fewer regions has the others hear of it still", async () => {
  await succeed(await deploy("phoenix", BOTH));
  const request = { name: "phoenix", actor: "ada", reason: "" };
  await call(coordinator.clients.applications, "removeApplication", request);
  await tells("phoenix", { eu: "2 removed", us: "2 removed" });
  const back = await deploy("phoenix", ["eu"]);
  assert.equal(back.droppedRegions, []);
  await tells("phoenix", { eu: "3", us: "3 removed" });
});

test("a coordinator that finds the bucket lost tells it again, from the database alone", async () => {
  await succeed(await deploy("till", BOTH));
  await succeed(await deploy("till", ["eu"]));
  await tells("till", { eu: "2", us: "2 removed" });
  await coordinator.stop();
  const kv = await world.nats.jetstream().views.kv(GLOBAL_GOALS_BUCKET);
  await kv.destroy();
  coordinator = await world.coordinator();
  await tells("till", { eu: "2", us: "2 removed" });
});

test.run();
