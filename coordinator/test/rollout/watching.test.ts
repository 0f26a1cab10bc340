import { status, type ClientReadableStream } from "@grpc/grpc-js";
import {
  DeploymentState,
  HostPhase,
  type Deployment,
  type WatchDeploymentResponse,
} from "@slipway/proto";
import { suite } from "uvu";
import * as assert from "uvu/assert";
import type { Coordinator } from "../../src/index.js";
import { FakeRegion } from "./fake-region.js";
import { call } from "../call.js";
import {
  AT_ONCE,
  deployNew,
  failure,
  startWorld,
  until,
  type Clients,
  type World,
} from "./world.js";

const { RUNNING, STAGING, ACTIVATING } = HostPhase;

const test = suite("watching and leading");
let world: World;
let leader: Coordinator;
let first: Clients;
let second: Clients;
let region: FakeRegion;
let names = 0;

test.before(async () => {
  world = await startWorld();
  const options = { pollIntervalMs: 300, reconcileIntervalMs: 300 };
  const started = await world.coordinator(options);
  leader = started;
  first = started.clients;
  await until("the first to lead", () => leaders().then((pids) => pids.length === 1));
  ({ clients: second } = await world.coordinator(options));
  region = await FakeRegion.start(world.nats, "eu");
  const host = { hostId: "eu-h1", region: "eu", cell: "c1", labels: {} };
  await call(first.fleet, "enrolHosts", { hosts: [host] });
});

test.after(async () => {
  region?.stop();
  await world?.stop();
});

/** Backends that hold the reconciler's lock. */
async function leaders(): Promise<number[]> {
  const { rows } = (await world.db.raw(
    `select l.pid from pg_locks l join pg_stat_activity a using (pid)
     where l.locktype = 'advisory' and l.granted and l.mode = 'ExclusiveLock'
       and a.application_name = 'slipway leader'`,
  )) as { rows: { pid: number }[] };
  return rows.map(({ pid }) => pid);
}

const deploy = (): Promise<Deployment> => deployNew(world, first, `app-${++names}`);

const report = ({ application, generation }: Deployment, phase: HostPhase): Promise<void> =>
  region.report({ application, generation, phases: [[phase, 1]] });

/** What a watch has been sent, and how it ended. */
interface Watch {
  events: WatchDeploymentResponse[];
  ended: Promise<void>;
  stream: ClientReadableStream<WatchDeploymentResponse>;
}

function watch({ deployments }: Clients, id: string, afterRevision = 0): Watch {
  const stream = deployments.watchDeployment({ id, afterRevision });
  const events: WatchDeploymentResponse[] = [];
  stream.on("data", (event: WatchDeploymentResponse) => events.push(event));
  const ended = new Promise<void>((resolve, reject) => {
    stream.on("end", resolve);
    stream.on("error", reject);
  });
  ended.catch(() => undefined);
  return { events, ended, stream };
}

const lastState = ({ events }: Watch): DeploymentState | undefined =>
  events.at(-1)?.deployment?.state;

test("a watch begins with the present state, follows counts, and ends at the final state", async () => {
  const deployment = await deploy();
  // Of the second, which does not lead: the final state reaches it by signal or poll.
  const watches = [watch(first, deployment.id), watch(second, deployment.id)];
  for (const { events } of watches) {
    await until("the present state", () => events.length > 0);
    assert.is(events[0]?.deployment?.id, deployment.id);
    assert.equal(
      events[0]?.regions.map((item) => item.region),
      ["eu"],
    );
  }
  await report(deployment, STAGING);
  for (const { events } of watches) {
    await until("the counts", () => {
      const phases = events.at(-1)?.regions[0]?.status?.phases ?? [];
      return phases[0]?.phase === STAGING && phases[0].count === 1;
    });
  }
  await report(deployment, RUNNING);
  for (const watched of watches) {
    await watched.ended;
    assert.is(lastState(watched), DeploymentState.SUCCEEDED);
    const finals = watched.events.filter(
      (event) => event.deployment?.state === DeploymentState.SUCCEEDED,
    );
    assert.is(finals.length, 1);
  }
});

test("a watch of a deployment that is over says so and ends", async () => {
  const deployment = await deploy();
  await report(deployment, RUNNING);
  const live = watch(second, deployment.id);
  await live.ended;
  const late = watch(first, deployment.id);
  await late.ended;
  assert.equal(late.events.length, 1);
  assert.is(lastState(late), DeploymentState.SUCCEEDED);
});

test("many watchers, who come while others are told, all see the end, and nothing twice", async () => {
  const deployment = await deploy();
  const { application, generation } = deployment;
  const watches: Watch[] = [];
  const join = async (count: number): Promise<void> => {
    const joined = Array.from({ length: count }, () => watch(first, deployment.id));
    watches.push(...joined);
    await until("the present state", () => joined.every(({ events }) => events.length > 0));
  };
  await join(200);
  for (let hosts = 1; hosts <= 4; hosts += 1) {
    await Promise.all([
      region.report({ application, generation, phases: [[STAGING, hosts]] }),
      join(25),
    ]);
    await until("the counts", () =>
      watches.every(({ events }) => events.at(-1)?.regions[0]?.status?.hostCount === hosts),
    );
  }
  await report(deployment, RUNNING);
  await Promise.all(watches.map(({ ended }) => ended));
  for (const watched of watches) {
    assert.is(lastState(watched), DeploymentState.SUCCEEDED);
    const sent = watched.events.map((event) => JSON.stringify(event));
    const twice = sent.filter((event, index) => event === sent[index - 1]);
    assert.equal(twice, [], "the same state was sent twice");
  }
});

test("a burst of counts is coalesced, and the newest is not lost", async () => {
  const deployment = await deploy();
  const watched = watch(first, deployment.id);
  await until("the present state", () => watched.events.length > 0);
  const { application, generation } = deployment;
  const started = Date.now();
  for (let hosts = 1; hosts <= 100; hosts += 1) {
    await region.report({ application, generation, phases: [[STAGING, hosts]] });
  }
  await until("the last count", () => watched.events.at(-1)?.regions[0]?.status?.hostCount === 100);
  const most = 3 + (Date.now() - started) / 250;
  assert.ok(watched.events.length <= most, `${watched.events.length} events`);
  watched.stream.cancel();
});

test("a reader that does not read costs one state and then gets the final one", async () => {
  const deployment = await deploy();
  const stream = second.deployments.watchDeployment({ id: deployment.id, afterRevision: 0 });
  const states: (DeploymentState | undefined)[] = [];
  stream.pause();
  await report(deployment, STAGING);
  await report(deployment, RUNNING);
  await until("the end", async () => {
    const { id } = deployment;
    const read = await call(first.deployments, "getDeployment", { id });
    return read.deployment?.state === DeploymentState.SUCCEEDED;
  });
  for await (const event of stream as AsyncIterable<WatchDeploymentResponse>) {
    states.push(event.deployment?.state);
  }
  assert.is(states.at(-1), DeploymentState.SUCCEEDED);
});

test("an unknown deployment can't be watched", async () => {
  const unknown = watch(first, "01890000-0000-7000-8000-000000000000");
  assert.is((await failure(unknown.ended)).code, status.NOT_FOUND);
  const malformed = watch(first, "x");
  assert.is((await failure(malformed.ended)).code, status.INVALID_ARGUMENT);
});

test("a final state is seen although the signal was lost", async () => {
  const deployment = await deploy();
  const watched = watch(second, deployment.id);
  await until("the present state", () => watched.events.length > 0);
  await world
    .db("deployments")
    .where({ id: deployment.id })
    .update({
      state: "FAILED",
      failure_reason: "HOSTS_FAILED",
      failure_message: "said by hand",
      finish_time: world.db.fn.now(),
      revision: world.db.raw("revision + 1"),
    });
  await watched.ended;
  assert.is(watched.events.at(-1)?.deployment?.failure?.message, "said by hand");
});

test("when the leader's connection dies another coordinator takes over, and work goes on", async () => {
  assert.is((await leaders()).length, 1);
  const before = await leaders();
  const deployment = await deploy();
  await world.db.raw(`select pg_terminate_backend(${before[0]})`);
  const after = await until("a new leader", async () => {
    const pids = await leaders();
    return pids.length === 1 && pids[0] !== before[0] && pids;
  });
  assert.is.not(after[0], before[0]);
  const watched = watch(second, deployment.id);
  await report(deployment, RUNNING);
  await watched.ended;
  assert.is(lastState(watched), DeploymentState.SUCCEEDED);
});

test("losing its leader in the middle of a step delays a deployment by seconds only", async () => {
  const [name, phases] = [`app-${++names}`, [[ACTIVATING, 4]] as const];
  const strategy = { ...AT_ONCE, waves: [{ regions: ["*"], percents: [50, 100], bakeTime: {} }] };
  const deployment = await deployNew(world, first, name, { strategy });
  const { application, generation, id } = deployment;
  await region.report({ application, generation, phases });
  const watched = watch(second, id);
  await until("the first half to switch", () => lastState(watched) === DeploymentState.RUNNING);
  const [leading] = await leaders();
  const started = Date.now();
  await world.db.raw(`select pg_terminate_backend(${leading})`);
  await region.report({ application, generation, phases: [[RUNNING, 4]] });
  await watched.ended;
  assert.is(lastState(watched), DeploymentState.SUCCEEDED);
  const tookMs = Date.now() - started;
  assert.ok(tookMs < 15_000, `${tookMs} ms`);
});

test("what changes at one coordinator reaches the watchers of another within a second", async () => {
  // Nothing is read but what it is told of.
  const { clients: third } = await world.coordinator({ pollIntervalMs: 600_000 });
  const deployment = await deploy();
  const watched = watch(third, deployment.id);
  await until("the present state", () => watched.events.length > 0);
  const started = Date.now();
  await call(first.deployments, "pauseDeployment", { id: deployment.id, actor: "bob", reason: "" });
  await until("the pause", () => lastState(watched) === DeploymentState.PAUSED);
  const tookMs = Date.now() - started;
  assert.ok(tookMs < 1_000, `${tookMs} ms`);
  watched.stream.cancel();
});

test("a watch that goes on after a revision is sent what is newer, and other counts", async () => {
  const deployment = await deploy();
  const { application, generation, id } = deployment;
  const present = watch(first, id);
  await until("the present state", () => present.events.length > 0);
  present.stream.cancel();
  const watched = watch(first, id, deployment.revision);
  // One that is not up to date is sent the present state at once, by which time the other is open.
  const behind = watch(first, id, deployment.revision + 1_000);
  await until("the present state", () => behind.events.length > 0);
  behind.stream.cancel();
  await region.report({ application, generation, phases: [[STAGING, 1]] });
  await until("the counts", () => watched.events.length > 0);
  const [{ deployment: sent, regions, totals } = {}] = watched.events;
  assert.is(sent?.revision, deployment.revision);
  assert.equal(regions?.[0]?.status?.phases, [{ phase: STAGING, count: 1 }]);
  assert.equal([totals?.hostCount, totals?.phases], [1, [{ phase: STAGING, count: 1 }]]);
  await report(deployment, RUNNING);
  await watched.ended;
  const last = watched.events.at(-1)?.deployment?.revision ?? 0;
  const over = watch(first, id, last);
  await over.ended;
  assert.equal(over.events, []);
});

test("when the leader stops another coordinator takes over", async () => {
  const deployment = await deploy();
  await leader.stop();
  await until("the other to lead", async () => (await leaders()).length === 1);
  const watched = watch(second, deployment.id);
  await report(deployment, RUNNING);
  await watched.ended;
  assert.is(lastState(watched), DeploymentState.SUCCEEDED);
});

test.run();
