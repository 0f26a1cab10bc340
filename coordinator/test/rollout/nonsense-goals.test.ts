import {
  ApplicationGoal,
  DeploymentState,
  GLOBAL_GOALS_BUCKET,
  Goal,
  HostPhase,
  SignedGoal,
  type Deployment,
} from "@slipway/proto";
import type { KV } from "nats";
import { suite } from "uvu";
import * as assert from "uvu/assert";
import { openSignedGoal } from "../../src/goal/signing.js";
import { call } from "../call.js";
import { FakeRegion } from "./fake-region.js";
import {
  applyApplication,
  deployNew,
  startWorld,
  until,
  type Clients,
  type World,
} from "./world.js";

const test = suite("goals edited by hand");
let world: World;
let clients: Clients;
let region: FakeRegion;
let bucket: KV;
let names = 0;

test.before(async () => {
  world = await startWorld();
  ({ clients } = await world.coordinator({ reconcileIntervalMs: 300, projectionIntervalMs: 300 }));
  region = await FakeRegion.start(world.nats, "eu");
  bucket = await world.nats.jetstream().views.kv(GLOBAL_GOALS_BUCKET);
  const host = { hostId: "eu-h1", region: "eu", cell: "", labels: {} };
  await call(clients.fleet, "enrolHosts", { hosts: [host] });
});

test.after(async () => {
  region?.stop();
  await world?.stop();
});

async function read(application: string): Promise<ApplicationGoal | undefined> {
  const entry = await bucket.get(application);
  try {
    return entry?.operation === "PUT" ? ApplicationGoal.decode(entry.value) : undefined;
  } catch {
    return undefined;
  }
}

/** The region's goal, if the fleet's key signed it for this deployment, with its limit. */
async function good({ application, id, generation }: Deployment): Promise<Goal | undefined> {
  const whole = await read(application);
  const signed = whole?.regions["eu"];
  const goal = openSignedGoal(SignedGoal.fromPartial(signed ?? {}), world.goalPublicKey);
  const same = goal?.deploymentId === id && goal.application === application;
  return same && whole?.generation === generation ? goal : undefined;
}

/** A deployment that succeeded, with its goal in the bucket. */
async function deployed(): Promise<{ deployment: Deployment; goal: ApplicationGoal }> {
  const deployment = await deployNew(world, clients, `app-${++names}`);
  const { application, generation, id } = deployment;
  await region.report({ application, generation, phases: [[HostPhase.RUNNING, 1]] });
  await until("the end", async () => {
    const answer = await call(clients.deployments, "getDeployment", { id });
    return answer.deployment?.state === DeploymentState.SUCCEEDED;
  });
  const goal = await read(application);
  if (goal === undefined) throw new Error("no goal");
  return { deployment, goal };
}

const put = (application: string, goal: ApplicationGoal): Promise<number> =>
  bucket.put(application, ApplicationGoal.encode(goal).finish());

const told = (application: string, message: RegExp): boolean =>
  world.logs.some(
    (line) =>
      line["level"] === 50 &&
      line["application"] === application &&
      message.test(String(line["msg"])),
  );

type Edit = (goal: ApplicationGoal, other: ApplicationGoal) => ApplicationGoal;
const eu = (goal: ApplicationGoal): SignedGoal => SignedGoal.fromPartial(goal.regions["eu"] ?? {});
const withEu = (goal: ApplicationGoal, change: Partial<SignedGoal>): ApplicationGoal => ({
  ...goal,
  regions: { eu: { ...eu(goal), ...change } },
});

const EDITS: [name: string, edit: Edit][] = [
  ["a signature that is not good", (goal) => withEu(goal, { signature: Buffer.alloc(64) })],
  [
    "a lower limit under the old signature",
    (goal) => {
      const payload = Goal.encode({ ...Goal.decode(eu(goal).payload), bucketLimit: 0 }).finish();
      return withEu(goal, { payload: Buffer.from(payload) });
    },
  ],
  ["a payload that is no goal", (goal) => withEu(goal, { payload: Buffer.from([255, 255]) })],
  ["another application's goal", (_, other) => other],
  ["another application's region", (goal, other) => withEu(goal, eu(other))],
  ["a generation that leaves no room", (goal) => ({ ...goal, generation: 2 ** 52 })],
];

for (const [name, edit] of EDITS) {
  test(`${name} is replaced, and said loudly`, async () => {
    const { goal: other } = await deployed();
    const { deployment, goal } = await deployed();
    const { application } = deployment;
    await put(application, edit(goal, other));
    const again = await until("the goal", () => good(deployment));
    assert.is(again.bucketLimit, 10_000);
    await until("the log", () => told(application, /nobody here signed was replaced/));
    // Whoever read the nonsense takes what is later.
    const before = Goal.decode(eu(goal).payload).issueTime?.getTime() ?? 0;
    assert.ok((again.issueTime?.getTime() ?? 0) > before);
  });
}

test("bytes that cannot be read are replaced, and said loudly", async () => {
  const { deployment } = await deployed();
  await bucket.put(deployment.application, Buffer.from([255, 255, 255]));
  await until("the goal", () => good(deployment));
  assert.ok(told(deployment.application, /cannot be read is replaced/));
});

test("an older goal of the same deployment, whose limit is lower, is brought up to date", async () => {
  const deployment = await deployNew(world, clients, `app-${++names}`);
  const { application, generation, id } = deployment;
  const first = await until("the first goal", async () => {
    const found = await read(application);
    return found?.generation === generation && found;
  });
  await region.report({ application, generation, phases: [[HostPhase.RUNNING, 1]] });
  await until("the end", async () => {
    const answer = await call(clients.deployments, "getDeployment", { id });
    return answer.deployment?.state === DeploymentState.SUCCEEDED;
  });
  await put(application, first);
  await until("the limit", async () => (await good(deployment))?.bucketLimit === 10_000);
});

test("a higher generation is left alone with an alarm, and the next deployment goes above it", async () => {
  const { deployment, goal } = await deployed();
  const { application } = deployment;
  await put(application, { ...goal, generation: 40, deploymentId: "by-hand" });
  await until("the alarm", () => told(application, /ahead of the database/));
  assert.is((await read(application))?.generation, 40);
  const next = await deployNew(world, clients, application, { version: "2" });
  assert.is(next.generation, 41);
  await until("the next goal", () => good(next));
});

test("what is of no application is taken out, and said loudly", async () => {
  const { deployment, goal } = await deployed();
  const never = "never-deployed";
  await applyApplication(clients, never, ["eu"]);
  await bucket.put("no-such-application", Buffer.from("nonsense"));
  await put("a-copy", goal);
  await put(never, { ...withEu(goal, { signature: Buffer.alloc(64) }), application: never });
  // Of a coordinator to come.
  await bucket.put("_later", Buffer.from("what it knows"));
  for (const key of ["no-such-application", "a-copy", never]) {
    await until(`${key} to be gone`, async () => (await bucket.get(key))?.operation === "DEL");
    await until("the log", () => told(key, /nobody here signed, of no application, was removed/));
  }
  assert.is((await bucket.get("_later"))?.operation, "PUT");
  assert.ok(await good(deployment));
});

test("what the fleet signed and the database has lost is left alone with an alarm", async () => {
  const { deployment } = await deployed();
  const { application } = deployment;
  await world.db.transaction(async (trx) => {
    for (const table of ["deployments", "builds", "application_revisions"]) {
      await trx(table).where({ application }).delete();
    }
    await trx("applications").where({ name: application }).delete();
  });
  await until("the alarm", () => told(application, /was a backup restored/));
  assert.ok(await good(deployment));
});

test.run();
