import { spawn, type ChildProcess } from "node:child_process";
import { generateKeyPairSync } from "node:crypto";
import { once } from "node:events";
import { chmod, mkdir, writeFile } from "node:fs/promises";
import path from "node:path";
import { fileURLToPath } from "node:url";
import { freePort, startNats, type NatsServer } from "@slipway/examples/servers";
import {
  ApplicationGoal,
  GLOBAL_GOALS_BUCKET,
  HostFailureReason,
  HostPhase,
  HostQuery,
  HostQueryReply,
  hostQuerySubject,
  RegionApplicationStatus,
  regionApplicationKey,
  RunSpec,
  STATUS_BUCKET,
  type HostApplicationStatus,
} from "@slipway/proto";
import { connect, type NatsConnection } from "nats";
import { suite } from "uvu";
import * as assert from "uvu/assert";
import { openDirectoryBlobStore, putFile } from "../../src/blob/index.js";
import { startRegion } from "../../src/region/region.js";
import type { RunningAgent } from "../../src/running-agent.js";
import { chunkFile } from "../../src/store/chunker.js";
import { decodeManifest } from "../../src/store/manifest.js";
import { createIdentity } from "../../src/swarm/identity.js";
import { writeIdentity } from "../../src/swarm/identity-file.js";
import {
  eventually,
  GoalSigner,
  httpRun,
  log,
  makeGoal,
  temporaryFolder,
} from "../host/fixtures.js";
import { FakeCoordinator } from "./fake-coordinator.js";

const test = suite("a host agent that replaces itself, in its region");
const region = "eu";
const main = fileURLToPath(new URL("../../src/main.ts", import.meta.url));
const tsx = fileURLToPath(import.meta.resolve("tsx"));
const node = [process.execPath, "--import", tsx, main];
const signer = new GoalSigner();
const coordinator = new FakeCoordinator();
const ends: (() => Promise<unknown>)[] = [];
let folder: string;
let nats: NatsServer;
let connection: NatsConnection;
let launcher: ChildProcess;
let said = "";

test.before(async () => {
  const temporary = await temporaryFolder();
  folder = temporary.folder;
  ends.push(temporary.remove);
  nats = await startNats();
  ends.push(() => nats.stop());
  connection = await connect({ servers: nats.url });
  ends.push(() => connection.close());
  const [coordinatorPort, swarmPort] = [await freePort(), await freePort()];
  await coordinator.start(coordinatorPort);
  ends.push(async () => coordinator.stop());
  await mkdir(path.join(folder, "main"));
  const membership = generateKeyPairSync("ed25519");
  const spki = { format: "pem", type: "spki" } as const;
  const [membershipFile, goalFile] = ["membership.pub", "goal.pub"].map((name) =>
    path.join(folder, name),
  ) as [string, string];
  await writeFile(membershipFile, membership.publicKey.export(spki));
  await writeFile(goalFile, signer.publicKey.export(spki));
  for (const [id, role] of [
    ["eu-1", "region"],
    ["h1", "host"],
  ] as const) {
    const expireTime = new Date(Date.now() + 3_600_000);
    const { privateKey: membershipKey } = membership;
    const identity = createIdentity({ id, region, role, membershipKey, expireTime });
    await writeIdentity(path.join(folder, `${id}.json`), identity);
  }
  const agent: RunningAgent = await startRegion(
    {
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
      membershipPublicKeyFile: membershipFile,
      goalPublicKeyFiles: [goalFile],
      blobStoreShared: false,
      listen: { host: "127.0.0.1", port: swarmPort },
      bootstrap: [{ host: "127.0.0.1", port: swarmPort }],
      cells: [],
      recheckMs: 500,
    },
    log,
  );
  ends.push(() => agent.stop());
  const dataDir = path.join(folder, "h1");
  const host = {
    id: "h1",
    region,
    "region-nats": nats.url,
    "data-dir": dataDir,
    identity: path.join(folder, "h1.json"),
    "membership-public-key": membershipFile,
    "goal-public-key": goalFile,
    listen: `127.0.0.1:${await freePort()}`,
    bootstrap: `127.0.0.1:${swarmPort}`,
    "agent-application": "agent",
  };
  const options = Object.entries(host).map(([name, value]) => `--${name}=${value}`);
  const [file = "", ...args] = [...node, "launch", "--data-dir", dataDir, "--", "host", ...options];
  launcher = spawn(file, args, { stdio: ["ignore", "pipe", "pipe"] });
  for (const stream of [launcher.stdout, launcher.stderr]) {
    stream?.on("data", (data: Buffer) => (said = (said + data.toString()).slice(-8_000)));
  }
  ends.push(async () => {
    if (launcher.exitCode !== null || launcher.signalCode !== null) return;
    // It ends the agent as well, which SIGKILL would leave behind.
    const exited = once(launcher, "exit");
    launcher.kill("SIGTERM");
    await exited;
  });
});

test.after(async () => {
  for (const end of ends.toReversed()) await end();
});

/** Puts a version of the agent into the region, and has the host's agent be that. */
async function deploy(generation: number, content: string): Promise<string> {
  const file = path.join(folder, `agent-${generation}`);
  await writeFile(file, content);
  await chmod(file, 0o755);
  const manifest = await chunkFile(file);
  await putFile(await openDirectoryBlobStore(path.join(folder, "main")), file, manifest);
  const { digest, sizeBytes: size } = decodeManifest(manifest);
  coordinator.target(digest, size);
  await eventually("the artifact in the region", () => coordinator.complete(digest), 30_000);
  const application = "agent";
  const run = RunSpec.fromPartial({ ...httpRun(), environment: {}, healthCheck: undefined });
  const goal = makeGoal(generation, { digest, size, run }, { application, region });
  const { deploymentId } = goal;
  const value = { application, generation, deploymentId, regions: { [region]: signer.sign(goal) } };
  const goals = await connection.jetstream().views.kv(GLOBAL_GOALS_BUCKET, { history: 1 });
  await goals.put(application, ApplicationGoal.encode(ApplicationGoal.fromPartial(value)).finish());
  return digest;
}

/** What the host says of its agent, through the region's; and when the agent that says so started. */
async function host(): Promise<{ agent: HostApplicationStatus; startTime: number } | undefined> {
  const query = HostQuery.encode({ hostIds: ["h1"] }).finish();
  const reply = await connection.request(hostQuerySubject(region), query, { timeout: 2_000 });
  const status = HostQueryReply.decode(reply.data).hosts[0];
  const agent = status?.applications.find(({ application }) => application === "agent");
  return agent && { agent, startTime: status?.startTime?.getTime() ?? 0 };
}

const reaches = (generation: number, phase: HostPhase) =>
  eventually(
    `phase ${phase} at ${generation}`,
    async () => {
      const now = await host().catch(() => undefined);
      return now?.agent.generation === generation && now.agent.phase === phase && now;
    },
    90_000,
  ).catch((error: unknown) => {
    throw new Error(`${String(error)}\n${said}`);
  });

/** What the region's agent counts of its one host. */
async function counted(generation: number, phase: HostPhase): Promise<boolean> {
  const statuses = await connection.jetstream().views.kv(STATUS_BUCKET, { history: 1 });
  const entry = await statuses.get(regionApplicationKey(region, "eu-1", "agent"));
  if (entry === null) return false;
  const status = RegionApplicationStatus.decode(entry.value);
  const count = status.phases.find((each) => each.phase === phase)?.count ?? 0;
  return status.generation === generation && count === 1;
}

test("a new version takes its place and reports; a bad one gives way to it, and is reported", async () => {
  await eventually("the host to be enrolled", () => coordinator.enrolled.size === 1, 60_000);
  const quoted = node.map((word) => `'${word}'`).join(" ");
  const good = await deploy(1, `#!/bin/sh\nexec ${quoted} "$@"\n`);
  const first = await reaches(1, HostPhase.RUNNING);
  assert.is(first.agent.runningArtifactDigest, good);
  await eventually("it to be counted", () => counted(1, HostPhase.RUNNING), 30_000);

  await deploy(2, "#!/bin/sh\nexit 3\n");
  const second = await reaches(2, HostPhase.FAILED);
  assert.ok(second.startTime > first.startTime, "the good one was started again");
  assert.is(second.agent.failure?.reason, HostFailureReason.START_FAILED);
  assert.match(second.agent.failure?.message ?? "", /ended before it confirmed: exit code 3/);
  assert.is(second.agent.runningArtifactDigest, good);
  await eventually("that to be counted", () => counted(2, HostPhase.FAILED), 30_000);

  // And from there to another good one.
  const next = await deploy(3, `#!/bin/sh\n# The next one.\nexec ${quoted} "$@"\n`);
  const third = await reaches(3, HostPhase.RUNNING);
  assert.is(third.agent.runningArtifactDigest, next);
});

test.run();
