import { DeploymentState, HostPhase, type WatchDeploymentResponse } from "@slipway/proto";
import { suite } from "uvu";
import * as assert from "uvu/assert";
import { call } from "../call.js";
import { FakeRegion } from "./fake-region.js";
import { deployNew, startWorld, until, type World } from "./world.js";

const test = suite("a leading coordinator that is killed");
const HOSTS = 4;
let world: World;
let region: FakeRegion;

test.before(async () => {
  world = await startWorld();
});
test.after(async () => {
  region?.stop();
  await world?.stop();
});

test("another leads, the deployment goes on, and watchers of the other see no break", async () => {
  const first = await world.process("--metrics-listen=0");
  await first.logged("leading deployments");
  const second = await world.process("--metrics-listen=0");
  const { port } = await second.logged("metrics are served");
  const leads = async (): Promise<boolean> => {
    const metrics = await fetch(`http://127.0.0.1:${String(port)}/metrics`);
    return /^slipway_rollout_leader 1$/m.test(await metrics.text());
  };
  const { clients } = second;
  region = await FakeRegion.start(world.nats, "eu");
  const hosts = Array.from({ length: HOSTS }, (_, number) => {
    return { hostId: `eu-h${number}`, region: "eu", cell: "", labels: {} };
  });
  await call(clients.fleet, "enrolHosts", { hosts });
  const waves = [{ regions: ["*"], percents: [50, 100], bakeTime: { seconds: 0 } }];
  const strategy = { waves, maxSwitchingPercent: 100 };
  const { id, application, generation } = await deployNew(world, clients, "shop", { strategy });

  const seen: { step: number; state: DeploymentState; revision: number }[] = [];
  const watch = clients.deployments.watchDeployment({ id, afterRevision: 0 });
  watch.on("data", ({ deployment }: WatchDeploymentResponse) => {
    const { step = 0, state = DeploymentState.UNSPECIFIED, revision = 0 } = deployment ?? {};
    seen.push({ step, state, revision });
  });
  const end = new Promise<void>((resolve, reject) => {
    watch.on("end", resolve);
    watch.on("error", reject);
  });
  // If the test fails before it ends, that is what is told.
  end.catch(() => undefined);

  // Half-way: hosts have the bytes and the first step's are told to switch, but do not.
  await region.report({ application, generation, phases: [[HostPhase.HELD, HOSTS]] });
  await until("the first step", () => seen.some(({ state }) => state === DeploymentState.RUNNING));
  assert.not(await leads());
  assert.is(await first.end("SIGKILL"), "SIGKILL");
  await until("another to lead", leads);
  await region.report({ application, generation, phases: [[HostPhase.RUNNING, HOSTS]] });
  await end;
  assert.is(seen.at(-1)?.state, DeploymentState.SUCCEEDED);
  assert.equal([...new Set(seen.map(({ step }) => step))], [1, 2]);
  const revisions = seen.map(({ revision }) => revision);
  assert.equal(
    revisions,
    [...revisions].sort((a, b) => a - b),
  );
});

test.run();
