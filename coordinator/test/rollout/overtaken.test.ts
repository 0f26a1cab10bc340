import { DeploymentState } from "@slipway/proto";
import { pino } from "pino";
import { suite } from "uvu";
import * as assert from "uvu/assert";
import { deploy } from "../../src/rollout/deployer.js";
import { findDeployment } from "../../src/rollout/deployment-store.js";
import { planRelease } from "../../src/rollout/release.js";
import type { RolloutContext } from "../../src/rollout/rollout-context.js";
import { Stats } from "../../src/stats.js";
import { call } from "../call.js";
import {
  applyApplication,
  deployNew,
  insertBuild,
  startWorld,
  until,
  type Clients,
  type World,
} from "./world.js";

const LOCK_NOT_AVAILABLE = "55P03";
const test = suite("a deployment that ends while a newer one is made");
let world: World;
let clients: Clients;

test.before(async () => {
  world = await startWorld();
  ({ clients } = await world.coordinator());
  const host = { hostId: "eu-h1", region: "eu", cell: "", labels: {} };
  await call(clients.fleet, "enrolHosts", { hosts: [host] });
});

test.after(async () => {
  await world?.stop();
});

/** As the reconciler would at this moment; false if whoever makes the newer one does not let it. */
async function succeed(id: string): Promise<boolean> {
  try {
    await world.db.transaction(async (trx) => {
      await trx.raw("set local lock_timeout = '200ms'");
      const finished = { finish_time: trx.fn.now(), revision: trx.raw("revision + 1") };
      const change = { state: "SUCCEEDED", start_time: trx.fn.now(), ...finished };
      await trx("deployments").where({ id }).update(change);
    });
    return true;
  } catch (error) {
    if ((error as { code?: string }).code === LOCK_NOT_AVAILABLE) return false;
    throw error;
  }
}

test("it has either succeeded, and is gone back to, or is superseded", async () => {
  const name = "web";
  const before = await deployNew(world, clients, name);
  const application = await applyApplication(clients, name, ["eu"], { version: "2" });
  const { id: buildId } = await insertBuild(world.db, application);
  const context = {
    config: { replicationDeadlineMs: 60_000 },
    db: world.db,
    events: { publish: () => undefined },
    log: pino({ level: "silent" }),
    goals: { generation: async () => 0 },
    status: { highestGeneration: () => 0 },
    stats: new Stats(),
  } as unknown as RolloutContext;
  const asked = { creator: "ann", reason: "", idempotencyKey: "", request: "" };
  const { creating } = await world.db.transaction(async (holder) => {
    // Holds it up when it has chosen what to do, and before it says so.
    await holder.raw("lock table hosts in access exclusive mode");
    const creating = deploy(context, name, asked, async (db) => {
      const plan = await planRelease(db, buildId);
      return { ...plan, isRollback: false, overrideFreeze: false };
    });
    await until("it waits", async () => {
      const waiting = holder("pg_locks").where({ granted: false });
      return (await waiting.whereRaw("relation = 'hosts'::regclass").first()) !== undefined;
    });
    await succeed(before.id);
    // Not to be waited for here.
    return { creating };
  });
  const { deployment } = await creating;
  const ended = (await findDeployment(world.db, before.id))?.deployment;
  assert.equal(
    [ended?.state, deployment.previousBuildId],
    ended?.state === DeploymentState.SUCCEEDED
      ? [DeploymentState.SUCCEEDED, before.buildId]
      : [DeploymentState.SUPERSEDED, ""],
  );
});

test.run();
