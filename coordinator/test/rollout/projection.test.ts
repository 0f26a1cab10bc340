import { setImmediate } from "node:timers/promises";
import { suite } from "uvu";
import * as assert from "uvu/assert";
import type { AnyGoalSource } from "../../src/goal/goal.js";
import { GoalProjection } from "../../src/rollout/projection.js";
import { call } from "../call.js";
import { deployNew, startWorld, type World } from "./world.js";

const NAMES = Array.from({ length: 20 }, (_, n) => `app-${String(n).padStart(2, "0")}`);
const test = suite("the projection of all goals");
let world: World;

test.before(async () => {
  world = await startWorld();
  const { clients } = await world.coordinator();
  const host = { hostId: "eu-h1", region: "eu", cell: "", labels: {} };
  await call(clients.fleet, "enrolHosts", { hosts: [host] });
  for (const name of NAMES) await deployNew(world, clients, name);
});

test.after(async () => {
  await world?.stop();
});

/** The applications of which the goal was put, and what was thrown. */
async function project(fails: (application: string) => boolean) {
  const put: string[] = [];
  let tried = 0;
  const publish = async ({ application }: AnyGoalSource) => {
    tried += 1;
    await setImmediate();
    if (fails(application)) throw new Error(`the goal of ${application} is too large`);
    put.push(application);
    return { outcome: "kept" as const, beyond: {} };
  };
  const context = {
    db: world.db,
    goals: { publish, prepare: async () => undefined },
    status: { highestGeneration: () => 0 },
    clock: { now: () => Date.now() },
    log: undefined,
  } as unknown as ConstructorParameters<typeof GoalProjection>[0];
  const projecting = new GoalProjection(context).publishAll(new AbortController().signal);
  const error = await projecting.then(
    () => undefined,
    (thrown: Error) => thrown,
  );
  return { put: put.sort(), tried, error };
}

test("a goal that cannot be written keeps no other from being put back", async () => {
  const poison = NAMES.at(-1) ?? "";
  const { put, error } = await project((application) => application === poison);
  assert.equal(put, NAMES.slice(0, -1));
  assert.match(error?.message ?? "", /^1 goal .* app-19 is too large$/);
});

test("when none can be written, NATS is not asked for every one of them", async () => {
  const { tried, error } = await project(() => true);
  assert.ok(error);
  // The eighth failure ends it, and each before it may have let another begin.
  assert.ok(tried <= 15, String(tried));
});

test.run();
