import { generateKeyPairSync, randomBytes } from "node:crypto";
import { chmod, copyFile, mkdir, readdir, readFile, truncate, writeFile } from "node:fs/promises";
import path from "node:path";
import {
  ApplicationGoal,
  GLOBAL_GOALS_BUCKET,
  type Goal,
  HostPhase,
  HostQuery,
  HostQueryReply,
  hostQuerySubject,
  RegionAgentStatus,
  regionAgentKey,
  RegionApplicationStatus,
  regionApplicationKey,
  ReplicationState,
  REVOCATIONS_KEY,
  STATUS_BUCKET,
} from "@slipway/proto";
import { freePort, startNats, type NatsServer } from "@slipway/examples/servers";
import { connect, type KV, type NatsConnection } from "nats";
import { suite } from "uvu";
import * as assert from "uvu/assert";
import { openDirectoryBlobStore, putFile, verifyArtifact } from "../../src/blob/index.js";
import type { HostConfig, RegionConfig } from "../../src/config.js";
import { startHost } from "../../src/host/host.js";
import { startRegion } from "../../src/region/region.js";
import type { RunningAgent } from "../../src/running-agent.js";
import { chunkFile } from "../../src/store/chunker.js";
import { decodeManifest } from "../../src/store/manifest.js";
import { createIdentity } from "../../src/swarm/identity.js";
import { writeIdentity } from "../../src/swarm/identity-file.js";
import {
  ask,
  eventually,
  GoalSigner,
  log,
  makeGoal,
  serviceScript,
  temporaryFolder,
} from "../host/fixtures.js";
import { FakeCoordinator } from "./fake-coordinator.js";

interface Context {
  folder: string;
  remove: () => Promise<void>;
}

const test = suite<Context>("a region and its hosts");
const region = "eu";
let nats: NatsServer;
let connection: NatsConnection;
const agents: RunningAgent[] = [];
const coordinator = new FakeCoordinator();
const signer = new GoalSigner();
const ports = new Map<string, number>();
let coordinatorPort = 0;
let swarmPort = 0;
let goals: KV;
let statuses: KV;

test.before(async (context) => {
  Object.assign(context, await temporaryFolder());
  nats = await startNats();
  connection = await connect({ servers: nats.url });
  goals = await connection.jetstream().views.kv(GLOBAL_GOALS_BUCKET, { history: 1 });
  statuses = await connection.jetstream().views.kv(STATUS_BUCKET, { history: 1 });
  [coordinatorPort, swarmPort] = [await freePort(), await freePort()];
  await coordinator.start(coordinatorPort);
  const membership = generateKeyPairSync("ed25519");
  const { folder } = context;
  const spki = { format: "pem", type: "spki" } as const;
  await writeFile(path.join(folder, "membership.pub"), membership.publicKey.export(spki));
  await writeFile(path.join(folder, "goal.pub"), signer.publicKey.export(spki));
  for (const [id, role] of [
    ["eu-1", "region"],
    ["h1", "host"],
    ["h2", "host"],
  ] as const) {
    const expireTime = new Date(Date.now() + 3_600_000);
    const identity = createIdentity({
      id,
      region,
      role,
      membershipKey: membership.privateKey,
      expireTime,
    });
    await writeIdentity(path.join(folder, `${id}.json`), identity);
    ports.set(id, await freePort());
  }
});

test.after(async ({ remove }) => {
  for (const agent of agents.toReversed()) await agent.stop();
  coordinator.stop();
  await connection.close();
  await nats.stop();
  await remove();
});

function regionConfig(folder: string): RegionConfig {
  return {
    id: "eu-1",
    region,
    logLevel: "silent",
    coordinator: `127.0.0.1:${coordinatorPort}`,
    nats: [nats.url],
    regionNats: [nats.url],
    mainBlobStore: path.join(folder, "main"),
    blobStore: path.join(folder, "regional"),
    dataDir: path.join(folder, "eu-1"),
    identityFile: path.join(folder, "eu-1.json"),
    membershipPublicKeyFile: path.join(folder, "membership.pub"),
    goalPublicKeyFiles: [path.join(folder, "goal.pub")],
    blobStoreShared: false,
    listen: { host: "127.0.0.1", port: swarmPort },
    bootstrap: [{ host: "127.0.0.1", port: swarmPort }],
    cells: [],
    recheckMs: 500,
  };
}

function hostConfig(folder: string, id: string, swarm: number): HostConfig {
  return {
    id,
    region,
    cell: "default",
    neighbourCells: [],
    logLevel: "silent",
    labels: { "http-port": String(ports.get(id)) },
    regionNats: [nats.url],
    dataDir: path.join(folder, id),
    identityFile: path.join(folder, `${id}.json`),
    membershipPublicKeyFile: path.join(folder, "membership.pub"),
    goalPublicKeyFiles: [path.join(folder, "goal.pub")],
    listen: { host: "127.0.0.1", port: swarm },
    bootstrap: [{ host: "127.0.0.1", port: swarmPort }],
    environment: { PATH: `${path.dirname(process.execPath)}:/usr/bin:/bin` },
    storeMaxBytes: 1024 ** 3,
    stopReleasesOnExit: true,
  };
}

/** Puts a release into the main blob store. */
async function build(folder: string, version: string): Promise<{ digest: string; size: number }> {
  const file = path.join(folder, `artifact-${version}`);
  // Some weight, so that it is more than one chunk; no two are alike.
  const padding = randomBytes(1024 * 1024).toString("hex");
  await writeFile(file, `${serviceScript(version)}// ${padding}\n`);
  await chmod(file, 0o755);
  const manifest = await chunkFile(file);
  await putFile(await openDirectoryBlobStore(path.join(folder, "main")), file, manifest);
  const { digest, sizeBytes } = decodeManifest(manifest);
  return { digest, size: sizeBytes };
}

async function deploy(goal: Goal): Promise<void> {
  const { application, generation, deploymentId } = goal;
  const regions = { [region]: signer.sign(goal) };
  const value = ApplicationGoal.fromPartial({ application, generation, deploymentId, regions });
  await goals.put(application, ApplicationGoal.encode(value).finish());
}

async function counted(): Promise<RegionApplicationStatus | undefined> {
  const entry = await statuses.get(regionApplicationKey(region, "eu-1", "web"));
  return entry === null ? undefined : RegionApplicationStatus.decode(entry.value);
}

async function allRun(generation: number): Promise<RegionApplicationStatus> {
  return eventually(`generation ${generation} to run on both hosts`, async () => {
    const found = await counted();
    const running = found?.phases.find(({ phase }) => phase === HostPhase.RUNNING)?.count ?? 0;
    return found?.generation === generation && running === 2 && found;
  }).catch(async (error: unknown) => {
    throw new Error(`${String(error)}: ${JSON.stringify(await counted())}`);
  });
}

test("from a goal to running, and back", async ({ folder }) => {
  await mkdir(path.join(folder, "main"), { recursive: true });
  agents.push(await startRegion(regionConfig(folder), log));
  for (const id of ["h1", "h2"]) {
    agents.push(await startHost(hostConfig(folder, id, await freePort()), log));
  }
  await eventually("both hosts to be enrolled", () => coordinator.enrolled.size === 2);
  const agentKey = regionAgentKey(region, "eu-1");
  const agent = await eventually("the agent's sign of life, warm", async () => {
    const entry = await statuses.get(agentKey);
    const said = entry && RegionAgentStatus.decode(entry.value);
    return said?.warming === false && said.hostCount === 2 && said;
  });
  assert.is(agent.silentCount, 0);

  const one = await build(folder, "v1");
  coordinator.target(one.digest, one.size);
  await eventually("the artifact in the region", () => coordinator.complete(one.digest));
  await deploy(makeGoal(1, one));
  const first = await allRun(1);
  assert.is(first.hostCount, 2);
  assert.is(first.bytesDone, 2 * one.size);
  assert.is(first.bytesFromPeers + first.bytesFromSeeders, 2 * one.size);
  assert.is(first.bytesFromReuse, 0);
  assert.equal(first.running, [{ buildId: "build-1", count: 2 }]);
  for (const id of ["h1", "h2"]) assert.is((await ask(ports.get(id) ?? 0))?.version, "v1");

  const two = await build(folder, "v2");
  // Staging may begin before the region has the artifact.
  await deploy(makeGoal(2, two));
  coordinator.target(two.digest, two.size);
  await allRun(2);
  for (const id of ["h1", "h2"]) assert.is((await ask(ports.get(id) ?? 0))?.version, "v2");

  await deploy(makeGoal(3, { ...one, buildId: "build-1" }));
  const back = await allRun(3);
  assert.is(back.bytesFromPeers + back.bytesFromSeeders, 0);
  for (const id of ["h1", "h2"]) assert.is((await ask(ports.get(id) ?? 0))?.version, "v1");

  const query = HostQuery.encode({ hostIds: ["h1", "nobody"] }).finish();
  const reply = await connection.request(hostQuerySubject(region), query, { timeout: 2_000 });
  const { hosts } = HostQueryReply.decode(reply.data);
  assert.equal(
    hosts.map(({ hostId }) => hostId),
    ["h1"],
  );
  assert.is(hosts[0]?.applications[0]?.generation, 3);
});

test("a lost regional artifact is seen and repaired", async ({ folder }) => {
  const regional = await openDirectoryBlobStore(path.join(folder, "regional"));
  const digests: string[] = [];
  for await (const digest of regional.list()) digests.push(digest);
  assert.is(digests.length, 2);
  const [lost = ""] = digests;
  const from = coordinator.reports.length;
  await regional.delete(lost);
  await eventually("the loss to be reported", () =>
    coordinator.reports
      .slice(from)
      .some(
        ({ artifactDigest, state }) => artifactDigest === lost && state === ReplicationState.FAILED,
      ),
  );
  await eventually("the copy to be back", async () => (await regional.stat(lost)) !== undefined);
  await eventually("that to be reported", () => coordinator.complete(lost));
  const held = await readFile(path.join(folder, "eu-1", "held-artifacts"), "utf8");
  assert.equal(held.split("\n"), digests.sort());
});

async function putRandom(folder: string): Promise<string> {
  const file = path.join(folder, "random");
  await mkdir(folder, { recursive: true });
  await writeFile(file, randomBytes(5_000));
  const manifest = await chunkFile(file);
  await putFile(await openDirectoryBlobStore(folder), file, manifest);
  return decodeManifest(manifest).digest.replace("sha256:", "");
}
async function flipBit(file: string): Promise<void> {
  const bytes = await readFile(file);
  bytes.writeUInt8(bytes.readUInt8(20) ^ 1, 20);
  await writeFile(file, bytes);
}
type Damage = (store: string, hex: string) => Promise<void>;
for (const [what, damage] of Object.entries<Damage>({
  "a flipped bit": (store, hex) => flipBit(path.join(store, "blobs", hex)),
  "a cut file": (store, hex) => truncate(path.join(store, "blobs", hex), 30),
  "a manifest with a flipped bit": (store, hex) => flipBit(path.join(store, "manifests", hex)),
  "another artifact's manifest, with its bytes": async (store, hex) => {
    const folder = path.join(store, "..", "other");
    const other = await putRandom(folder);
    for (const kind of ["manifests", "blobs"]) {
      await copyFile(path.join(folder, kind, other), path.join(store, kind, hex));
    }
  },
})) {
  test(`a damaged regional artifact is seen and repaired: ${what}`, async ({ folder }) => {
    const store = path.join(folder, "regional");
    const [hex = ""] = await readdir(path.join(store, "blobs"));
    const digest = `sha256:${hex}`;
    const from = coordinator.reports.length;
    await damage(store, hex);
    await eventually("the damage to be reported", () =>
      coordinator.reports
        .slice(from)
        .some(
          ({ artifactDigest, message }) => artifactDigest === digest && /damaged/.test(message),
        ),
    );
    await eventually("the repair to be reported", () => coordinator.complete(digest));
    await verifyArtifact(await openDirectoryBlobStore(store), digest);
  });
}

test("a host that was taken out of the fleet is counted no more as soon as it is said", async () => {
  const before = await counted();
  assert.is(before?.hostCount, 2);
  await goals.put(REVOCATIONS_KEY, signer.revocations(1, ["h2"]));
  await eventually("one host to be counted", async () => (await counted())?.hostCount === 1);
});

test("agents stop twice, and their releases with them if told so", async ({ folder }) => {
  for (const agent of agents) {
    await agent.stop();
    await agent.stop();
  }
  for (const id of ["h1", "h2"]) {
    assert.is(await ask(ports.get(id) ?? 0), undefined);
    assert.match(await readFile(path.join(folder, id, "apps/web/state.json"), "utf8"), /build-1/);
  }
});

test.run();
