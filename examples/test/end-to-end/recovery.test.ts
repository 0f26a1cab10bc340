import { readdirSync, statSync } from "node:fs";
import { writeFile } from "node:fs/promises";
import path from "node:path";
import { type Build, BuildStatus, type Deployment, DeploymentState, HostPhase } from "@slipway/sdk";
import { durationFromMs } from "@slipway/sdk";
import type { HostApplicationStatus } from "@slipway/sdk";
import { suite } from "uvu";
import * as assert from "uvu/assert";
import { askHosts } from "../../src/demo/ask-hosts.js";
import { sampleApplication } from "../../src/demo/sample-application.js";
import { createSampleRepository, type SampleRepository } from "../../src/demo/sample-repository.js";
import { type LocalFleet, startLocalFleet } from "../../src/local-fleet/index.js";
import { waitFor } from "../wait-for.js";

// Waits until it is let go on, and then builds.
const GATED_BUILD = `
  const { existsSync } = require("node:fs");
  console.log("at the gate");
  const timer = setInterval(() => {
    if (!existsSync(process.env.GATE)) return;
    clearInterval(timer);
    import(require("node:path").resolve("build.mjs"));
  }, 20);`;
const application = "shop";
const KILL_ATTEMPTS = 4;

interface World {
  fleet: LocalFleet;
  repository: SampleRepository;
  gate: string;
  signal: AbortSignal;
  first: Build;
}

const recovery = suite<World>("from a commit to every host, with processes killed on the way");

recovery.before(async (world) => {
  world.signal = AbortSignal.timeout(200_000);
  world.fleet = await startLocalFleet({ regions: ["eu"], hostsPerRegion: 3, builders: 2 });
  const { dir, client } = world.fleet;
  world.gate = path.join(dir, "gate");
  world.repository = await createSampleRepository(path.join(dir, "repository"), "First");
  // What goes wrong on the way is all that these tests wait for.
  const waves = [{ regions: ["*"], percents: [100], bakeTime: durationFromMs(0) }];
  const spec = {
    ...sampleApplication(world.repository.path, ["eu"]),
    strategy: { waves, maxSwitchingPercent: 100 },
  };
  Object.assign(spec.build ?? {}, {
    command: ["node", "--eval", GATED_BUILD],
    environment: { GATE: world.gate },
  });
  await client.applications.apply({ name: application, spec });
});

recovery.after(async ({ fleet }: Partial<World>) => fleet?.stop());

recovery("a build whose builder is killed is built by another", async (world) => {
  const { fleet, repository, signal } = world;
  const submitted = await fleet.client.builds.submit({ application, commitSha: repository.head });
  const killed = await builderAtTheGate(world, submitted.build.id);
  await fleet.process(killed).kill();
  await writeFile(world.gate, "");
  const build = await fleet.client.builds.waitUntilDeployable(submitted.build.id, { signal });
  assert.is(build.status, BuildStatus.SUCCEEDED, build.failure?.message);
  assert.is(build.attempt, 2);
  assert.is.not(build.builderId, killed);
  assert.ok((build.artifact?.sizeBytes ?? 0) >= 16 * 1024 * 1024);
  await fleet.process(killed).start();
  world.first = build;
});

recovery("a host killed in the middle of a download resumes it", async (world) => {
  const { fleet, repository, signal } = world;
  // The moment in question is short: if it is missed, another commit brings another one.
  for (let attempt = 1; ; attempt++) {
    const build = attempt === 1 ? world.first : await buildHead(world);
    const chunkCount = build.artifact?.chunkCount ?? 0;
    const deployment = await fleet.client.deployments.create({ buildId: build.id });
    const durable = await killInDownload(fleet, "eu-2");
    await fleet.process("eu-2").start();
    await succeeded(world, deployment);
    assert.equal(await askHosts(fleet.hosts, build.commitSha, "catalogue", signal), []);
    const status = await hostStatus(fleet, "eu-2", deployment);
    assert.is(status.phase, HostPhase.RUNNING);
    world.first = build;
    if (durable < chunkCount) {
      assert.ok(status.bytesFromLocal > 0, "nothing was resumed");
      assert.ok(status.bytesFromPeers + status.bytesFromSeeders > 0, "nothing was left to fetch");
      return;
    }
    assert.ok(attempt < KILL_ATTEMPTS, "the download always ended before the kill");
    await repository.change("models", `Again, ${attempt}`);
  }
});

recovery("a second commit is deployed, and rolled back without moving a byte", async (world) => {
  const { fleet, repository, signal } = world;
  await repository.change("catalogue", "Second");
  const second = await buildHead(world);
  await succeeded(world, await fleet.client.deployments.create({ buildId: second.id }));
  assert.equal(await askHosts(fleet.hosts, repository.head, "catalogue", signal), []);

  const back = await fleet.client.deployments.rollBack({ application });
  assert.is(back.buildId, world.first.id);
  await succeeded(world, back);
  assert.equal(await askHosts(fleet.hosts, world.first.commitSha, "catalogue", signal), []);
  for (const { id } of fleet.hosts) {
    const status = await hostStatus(fleet, id, back);
    assert.is(status.bytesFromPeers + status.bytesFromSeeders, 0);
  }
});

recovery("a release outlives its host's agent and is adopted by the next", async (world) => {
  const { fleet, signal } = world;
  await fleet.process("eu-1").kill();
  assert.equal(await askHosts(fleet.hosts, world.first.commitSha, "catalogue", signal), []);
  const killed = Date.now();
  await fleet.process("eu-1").start();
  await waitFor(
    async () => {
      const { items } = await fleet.client.fleet.hostsPage({ region: "eu" }, { signal });
      const status = items.find(({ enrolment }) => enrolment?.hostId === "eu-1")?.status;
      const found = status?.applications.find((each) => each.application === application);
      const isNew = (status?.startTime?.getTime() ?? 0) >= killed;
      return isNew && found?.phase === HostPhase.RUNNING;
    },
    20_000,
    "eu-1 reports its release as running again",
  );
  assert.equal(await askHosts(fleet.hosts, world.first.commitSha, "catalogue", signal), []);
});

recovery.run();

/** Waits until the build command has said that it waits. Returns the builder that runs it. */
async function builderAtTheGate({ fleet, signal }: World, id: string): Promise<string> {
  let builder = "";
  for await (const event of fleet.client.builds.watch(id, { logs: true, signal })) {
    if (event.type === "build") builder = event.build.builderId;
    else if (event.line.text === "at the gate" && builder !== "") return builder;
  }
  throw new Error("the build ended before its command waited");
}

async function buildHead({ fleet, repository, signal }: World): Promise<Build> {
  const request = { application, commitSha: repository.head };
  const { build } = await fleet.client.builds.submit(request, { signal });
  const built = await fleet.client.builds.waitUntilDeployable(build.id, { signal });
  assert.is(built.status, BuildStatus.SUCCEEDED, built.failure?.message);
  return built;
}

async function succeeded({ fleet, signal }: World, { id }: Deployment): Promise<void> {
  const { deployment } = await fleet.client.deployments.waitUntilFinished(id, { signal });
  assert.is(deployment.state, DeploymentState.SUCCEEDED, deployment.failure?.message);
}

/**
 * Kills the host's agent once it has some chunks. Returns how many it had: Infinity if the download
 * ended unseen.
 */
async function killInDownload(fleet: LocalFleet, host: string): Promise<number> {
  const folder = path.join(fleet.dir, "data", host);
  const complete = filesNamed(folder, "data").length;
  const isOver = (): boolean => filesNamed(folder, "data").length > complete;
  await waitFor(() => chunksOnDisk(folder) > 0 || isOver(), 60_000, `${host} has a chunk`, 1);
  await fleet.process(host).kill();
  return isOver() ? Number.POSITIVE_INFINITY : chunksOnDisk(folder);
}

/** Chunks of an unfinished download that are on disk: the store lists them, 4 bytes each. */
function chunksOnDisk(folder: string): number {
  return filesNamed(folder, "recent").reduce((sum, file) => sum + sizeOf(file) / 4, 0);
}

function filesNamed(folder: string, name: string): string[] {
  const files = readdirSync(folder, { recursive: true, encoding: "utf8" });
  return files
    .filter((file) => path.basename(file) === name)
    .map((file) => path.join(folder, file));
}

function sizeOf(file: string): number {
  return statSync(file, { throwIfNoEntry: false })?.size ?? 0;
}

async function hostStatus(
  fleet: LocalFleet,
  host: string,
  { generation }: Deployment,
): Promise<HostApplicationStatus> {
  const { items } = await fleet.client.fleet.hostsPage({ application });
  const found = items
    .find(({ enrolment }) => enrolment?.hostId === host)
    ?.status?.applications.find((each) => each.application === application);
  assert.is(found?.generation, generation);
  return found as HostApplicationStatus;
}
