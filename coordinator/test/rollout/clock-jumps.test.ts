import {
  DeploymentState,
  HostPhase,
  Promotion,
  type Deployment,
  type WatchDeploymentResponse,
} from "@slipway/proto";
import { suite } from "uvu";
import * as assert from "uvu/assert";
import { systemClock } from "../../src/context.js";
import { call } from "../call.js";
import { FakeRegion } from "./fake-region.js";
import { deployNew, startWorld, until, type Clients, type World } from "./world.js";

const HOUR_MS = 3_600_000;
const test = suite("a clock that is set");
let world: World;
let clients: Clients;
let region: FakeRegion;
const right = { ...systemClock };
/** What the coordinator's clock is wrong by. */
let offMs = 0;

test.before(async () => {
  systemClock.now = () => right.now() + offMs;
  world = await startWorld();
  ({ clients } = await world.coordinator({ pollIntervalMs: 300, reconcileIntervalMs: 300 }));
  region = await FakeRegion.start(world.nats, "eu");
  const hosts = ["h1", "h2"].map((hostId) => ({ hostId, region: "eu", cell: "", labels: {} }));
  await call(clients.fleet, "enrolHosts", { hosts });
});
test.after(async () => {
  Object.assign(systemClock, right);
  region?.stop();
  await world?.stop();
});

const read = async (id: string): Promise<Deployment> => {
  const { deployment } = await call(clients.deployments, "getDeployment", { id });
  if (deployment === undefined) throw new Error("no deployment");
  return deployment;
};

const promote = (id: string, step: number) =>
  call(clients.deployments, "promoteDeployment", { id, step, actor: "ada", reason: "" });

for (const [what, jumpMs] of [
  ["forward", HOUR_MS],
  ["back", -2 * HOUR_MS],
] as const) {
  test(`${what}, in the middle of a deployment, neither holds it up nor makes anybody silent`, async () => {
    const strategy = {
      waves: [{ regions: ["*"], percents: [50, 100], bakeTime: { seconds: 1 } }],
      promotion: Promotion.MANUAL,
      maxSwitchingPercent: 100,
    };
    const made = await deployNew(world, clients, `shop-${what}`, { strategy });
    const { id, application, generation } = made;
    let seen: DeploymentState | undefined;
    const stream = clients.deployments.watchDeployment({ id, afterRevision: 0 });
    stream.on("data", ({ deployment }: WatchDeploymentResponse) => (seen = deployment?.state));
    const ended = new Promise<void>((resolve, reject) => {
      stream.on("end", resolve);
      stream.on("error", reject);
    });
    ended.catch(() => undefined);
    await region.report({ application, generation, phases: [[HostPhase.RUNNING, 2]] });
    await until("the second step's turn", () => seen === DeploymentState.WAITING);
    offMs += jumpMs;
    await promote(id, 2);
    await until("its end", async () => (await read(id)).state === DeploymentState.SUCCEEDED);
    await ended;
    assert.is(seen, DeploymentState.SUCCEEDED, "who watches hears of it as ever");
    const entries = (await world
      .db("audit_entries")
      .where({ deployment_id: id })
      .orderBy("id")
      .select("action")) as { action: string }[];
    assert.equal(
      entries.map(({ action }) => action.replace("deployment.", "")),
      ["create", "start", "step", "promote", "succeed"],
    );
  });
}

test.run();
