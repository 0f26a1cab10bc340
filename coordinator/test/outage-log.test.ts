import { suite } from "uvu";
import * as assert from "uvu/assert";
import { call } from "./call.js";
import { FakeRegion } from "./rollout/fake-region.js";
import { deployNew, startWorld, until, type Clients, type World } from "./rollout/world.js";

const test = suite("what a coordinator logs while a server is away");
let world: World;
let clients: Clients;
let region: FakeRegion;

test.before(async () => {
  world = await startWorld();
  ({ clients } = await world.coordinator({ pollIntervalMs: 300, reconcileIntervalMs: 1_000 }));
  region = await FakeRegion.start(world.nats, "eu");
  const host = { hostId: "eu-h1", region: "eu", cell: "", labels: {} };
  await call(clients.fleet, "enrolHosts", { hosts: [host] });
  // Somebody has it watched, and the reconciler has something to do.
  const { id } = await deployNew(world, clients, "app-1");
  const watch = clients.deployments.watchDeployment({ id, afterRevision: 0 });
  watch.on("error", () => undefined);
  await new Promise((resolve) => watch.once("data", resolve));
});
test.after(async () => {
  region?.stop();
  await world?.stop();
});

const WARN = 40;
const DEBUG = 20;

for (const [name, few, away] of [
  ["Postgres", 10, () => world.postgres],
  ["NATS", 1, () => world.natsServer],
] as const) {
  test(`${name} away is said once, not by every loop, and so is its return`, async () => {
    const from = world.logs.length;
    const since = (): Record<string, unknown>[] => world.logs.slice(from);
    await away().stop();
    // Said in full for whoever looks for it, and left out of the rest.
    const quiet = (): number =>
      since().filter(({ level, err }) => level === DEBUG && err !== undefined).length;
    await until("failures", () => quiet() >= few || undefined, 30_000);
    await away().start();
    const back = await until(
      "its return",
      () => since().find((line) => line["back"] === name),
      40_000,
    );
    assert.ok(Number(back["suppressed"]) > 0);
    const loud = since().filter(({ level }) => Number(level) >= WARN);
    assert.ok(loud.some((line) => line["away"] === name));
    const others = loud.filter((line) => line["away"] === undefined);
    assert.ok(
      loud.length <= 8,
      JSON.stringify(
        loud.map(({ msg, err }) => [msg, err]),
        null,
        1,
      ),
    );
    assert.ok(others.length <= 4, JSON.stringify(others, null, 1));
  });
}

test.run();
