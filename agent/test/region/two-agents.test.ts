import { generateKeyPairSync } from "node:crypto";
import { mkdir, writeFile } from "node:fs/promises";
import path from "node:path";
import process from "node:process";
import { fileURLToPath } from "node:url";
import {
  ApplicationGoal,
  GLOBAL_GOALS_BUCKET,
  HostStatus,
  hostStatusSubject,
  RegionAgentStatus,
  regionAgentKey,
  RegionApplicationStatus,
  regionApplicationKey,
  regionGoalsBucket,
  ReplicationState,
  STATUS_BUCKET,
} from "@slipway/proto";
import {
  freePort,
  startChild,
  startNats,
  type Child,
  type NatsServer,
} from "@slipway/examples/servers";
import { connect, type KV, type NatsConnection } from "nats";
import { suite } from "uvu";
import * as assert from "uvu/assert";
import { openDirectoryBlobStore, putFile } from "../../src/blob/index.js";
import { chunkFile } from "../../src/store/chunker.js";
import { decodeManifest } from "../../src/store/manifest.js";
import { createIdentity } from "../../src/swarm/identity.js";
import { writeIdentity } from "../../src/swarm/identity-file.js";
import { eventually, GoalSigner, makeGoal, temporaryFolder } from "../host/fixtures.js";
import { FakeCoordinator } from "./fake-coordinator.js";

const agentBin = fileURLToPath(new URL("../../bin/slipway-agent.js", import.meta.url));
const region = "eu";
const IDS = ["eu-1", "eu-2"] as const;
const test = suite("two agents of a region");
const coordinator = new FakeCoordinator();
const signer = new GoalSigner();
const agents = new Map<string, Child>();
const swarmPorts = new Map<string, number>();
let folder = "";
let removeFolder: () => Promise<void>;
let nats: NatsServer;
let connection: NatsConnection;
let goals: KV;
let statuses: KV;
let coordinatorPort = 0;

test.before(async () => {
  ({ folder, remove: removeFolder } = await temporaryFolder());
  nats = await startNats();
  connection = await connect({ servers: nats.url });
  goals = await connection.jetstream().views.kv(GLOBAL_GOALS_BUCKET, { history: 1 });
  statuses = await connection.jetstream().views.kv(STATUS_BUCKET, { history: 1 });
  coordinatorPort = await freePort();
  await coordinator.start(coordinatorPort);
  const membership = generateKeyPairSync("ed25519");
  const spki = { format: "pem", type: "spki" } as const;
  await writeFile(path.join(folder, "membership.pub"), membership.publicKey.export(spki));
  await writeFile(path.join(folder, "goal.pub"), signer.publicKey.export(spki));
  const expireTime = new Date(Date.now() + 3_600_000);
  for (const id of IDS) {
    const membershipKey = membership.privateKey;
    const identity = createIdentity({ id, region, role: "region", membershipKey, expireTime });
    await writeIdentity(path.join(folder, `${id}.json`), identity);
    swarmPorts.set(id, await freePort());
  }
});

test.after(async () => {
  for (const agent of agents.values()) await agent.stop();
  coordinator.stop();
  await connection.close();
  await nats.stop();
  await removeFolder();
});

async function start(id: string): Promise<void> {
  const addresses = [...swarmPorts.values()].map((port) => `127.0.0.1:${port}`);
  const options = {
    id,
    region,
    coordinator: `127.0.0.1:${coordinatorPort}`,
    nats: nats.url,
    "region-nats": nats.url,
    "main-blob-store": path.join(folder, "main"),
    "blob-store": path.join(folder, "regional"),
    "data-dir": path.join(folder, id),
    identity: path.join(folder, `${id}.json`),
    "membership-public-key": path.join(folder, "membership.pub"),
    "goal-public-key": path.join(folder, "goal.pub"),
    listen: `127.0.0.1:${swarmPorts.get(id)}`,
    bootstrap: addresses.join(","),
  };
  const args = Object.entries(options).map(([name, value]) => `--${name}=${value}`);
  const agent = await startChild({
    name: id,
    command: process.execPath,
    args: [agentBin, "region", "--blob-store-shared", ...args],
    cwd: folder,
    logFile: path.join(folder, `${id}.log`),
  });
  agents.set(id, agent);
  await agent.logged(/region agent started/, 20_000);
}

async function termOf(id: string): Promise<number | undefined> {
  const entry = await statuses.get(regionAgentKey(region, id));
  return entry === null ? undefined : RegionAgentStatus.decode(entry.value).leaderTerm;
}

/** Who leads, once both have said whether they do. */
function leader(above = 0): Promise<[string, number]> {
  return eventually("one to lead", async () => {
    for (const id of IDS) {
      const term = (await termOf(id)) ?? 0;
      if (term > above) return [id, term] as [string, number];
    }
    return undefined;
  });
}

async function counted(id: string): Promise<RegionApplicationStatus | undefined> {
  const entry = await statuses.get(regionApplicationKey(region, id, "web"));
  if (entry === null || entry.operation !== "PUT") return undefined;
  return RegionApplicationStatus.decode(entry.value);
}

async function deploy(generation: number, digest: string, size: number): Promise<void> {
  const goal = makeGoal(generation, { digest, size });
  const value = ApplicationGoal.fromPartial({
    application: "web",
    generation,
    deploymentId: goal.deploymentId,
    regions: { [region]: signer.sign(goal) },
  });
  await goals.put("web", ApplicationGoal.encode(value).finish());
}

/** Writes to the region's goal bucket since it was made. */
async function goalWrites(): Promise<number> {
  const manager = await connection.jetstreamManager();
  return (await manager.streams.info(`KV_${regionGoalsBucket(region)}`)).state.last_seq;
}

function speak(hostId: string): void {
  const status = HostStatus.fromPartial({ hostId, region, cell: "default", time: new Date() });
  connection.publish(hostStatusSubject(region, hostId), HostStatus.encode(status).finish());
}

async function build(): Promise<{ digest: string; size: number }> {
  const file = path.join(folder, "artifact");
  await mkdir(path.join(folder, "main"), { recursive: true });
  await writeFile(file, "x".repeat(100_000));
  const manifest = await chunkFile(file);
  await putFile(await openDirectoryBlobStore(path.join(folder, "main")), file, manifest);
  const { digest, sizeBytes } = decodeManifest(manifest);
  return { digest, size: sizeBytes };
}

const enrolments = (hostId: string): number =>
  coordinator.enrolments.filter((enrolled) => enrolled === hostId).length;
const completed = (): number =>
  coordinator.reports.filter(({ state }) => state === ReplicationState.COMPLETE).length;

test("one leads and writes; when it is killed the other does within seconds", async () => {
  await Promise.all(IDS.map(start));
  const [first, term] = await leader();
  const [second = ""] = IDS.filter((id) => id !== first);
  await eventually("the other to say that it does not", async () => (await termOf(second)) === 0);

  const { digest, size } = await build();
  coordinator.target(digest, size);
  await eventually("the artifact to be reported", () => coordinator.complete(digest));
  await deploy(1, digest, size);
  await eventually("the host to be enrolled", () => {
    speak("h1");
    return enrolments("h1") > 0;
  });
  const before = await eventually("the host to be counted", async () => {
    const found = await counted(first);
    return found?.hostCount === 1 && found;
  });
  assert.is(before.leaderTerm, term);
  assert.is(await counted(second), undefined);
  assert.is(await goalWrites(), 2, "a goal and a digest, once each");
  assert.equal([enrolments("h1"), completed()], [1, 1]);

  agents.get(first)?.signal("SIGKILL");
  const killedAt = performance.now();
  const [now, later] = await leader(term);
  assert.is(now, second);
  assert.ok(later > term);
  assert.ok(performance.now() - killedAt < 12_000, "within the lease and a bit");
  const after = await eventually("the other's counts", () => counted(second));
  assert.equal([after.leaderTerm, after.hostCount], [later, 1]);
  await eventually("the first's to be gone", async () => (await counted(first)) === undefined);
  await eventually("what is here to be reported anew", () => completed() === 2);
  await deploy(2, digest, size);
  await eventually("the next goal", async () => (await goalWrites()) === 4);
  await eventually("another host to be enrolled", () => {
    speak("h2");
    return enrolments("h2") > 0;
  });
  assert.equal([enrolments("h1"), enrolments("h2")], [1, 1]);

  await start(first);
  await eventually(
    "the first to say that it does not lead",
    async () => (await termOf(first)) === 0,
  );
  const stopping = agents.get(second)?.stop();
  const [back] = await leader(later);
  assert.is(back, first);
  await stopping;
  assert.is((await agents.get(second)?.exited)?.code, 0);
});

test.run();
