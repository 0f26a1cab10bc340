import { writeFile } from "node:fs/promises";
import path from "node:path";
import {
  GOAL_DIGEST_KEY,
  goalSubject,
  hostLogRequestSubject,
  HostStatus,
  hostStatusSubject,
  regionGoalsBucket,
  REVOCATIONS_KEY,
} from "@slipway/proto";
import { freePort, startNats, type NatsServer } from "@slipway/examples/servers";
import { connect, type KV, type NatsConnection } from "nats";
import { pino } from "pino";
import { suite } from "uvu";
import * as assert from "uvu/assert";
import type { HostConfig } from "../../src/config.js";
import { startHost } from "../../src/host/host.js";
import { encodeDigest } from "../../src/region/plan-goals.js";
import type { RunningAgent } from "../../src/running-agent.js";
import { writeIdentity } from "../../src/swarm/index.js";
import { Region } from "../swarm/fixtures.js";
import {
  ask,
  eventually,
  GoalSigner,
  makeGoal,
  serviceScript,
  temporaryFolder,
} from "./fixtures.js";

const test = suite("a host that is revoked");
const signer = new GoalSigner();
const swarm = new Region();
let nats: NatsServer;
let connection: NatsConnection;
let bucket: KV;
let folder = "";
let removeFolder: () => Promise<void>;
const running: RunningAgent[] = [];

test.before(async () => {
  ({ folder, remove: removeFolder } = await temporaryFolder());
  nats = await startNats();
  connection = await connect({ servers: nats.url });
  const name = regionGoalsBucket("eu");
  const republish = { src: `$KV.${name}.>`, dest: goalSubject("eu", ">") };
  bucket = await connection.jetstream().views.kv(name, { allow_direct: true, republish });
});
test.after(async () => {
  for (const agent of running) await agent.stop();
  await swarm.close();
  await connection.close();
  await nats.stop();
  await removeFolder();
});

/** Starts the agent; what it logs as an error. */
async function start(config: HostConfig): Promise<{ agent: RunningAgent; errors: string[] }> {
  const errors: string[] = [];
  const log = pino(
    { level: "error" },
    { write: (line) => errors.push((JSON.parse(line) as { msg: string }).msg) },
  );
  const agent = await startHost(config, log);
  running.push(agent);
  return { agent, errors };
}

/** Whether anybody at all may take requests for the host's logs. */
async function isReached(): Promise<boolean> {
  try {
    await connection.request(hostLogRequestSubject("eu", "h1"), undefined, { timeout: 500 });
    return true;
  } catch (error) {
    const { code } = error as { code?: string };
    if (code === "503") return false;
    // It left with the request in its hands: not known.
    if (code === "TIMEOUT") return true;
    throw error;
  }
}

test("leaves, says nothing more, and keeps running what runs, also after a restart", async () => {
  const seeder = await swarm.join("region");
  const script = path.join(folder, "service");
  await writeFile(script, serviceScript("one"));
  const { digest, sizeBytes } = await seeder.swarm.seed(script);
  const file = (name: string): string => path.join(folder, name);
  const spki = { format: "pem", type: "spki" } as const;
  await writeIdentity(file("h1.json"), swarm.identity("h1", "host"));
  await writeFile(file("membership.pub"), swarm.membership.publicKey.export(spki));
  await writeFile(file("goal.pub"), signer.publicKey.export(spki));
  const http = await freePort();
  const config: HostConfig = {
    id: "h1",
    logLevel: "error",
    region: "eu",
    cell: "c1",
    neighbourCells: [],
    labels: { "http-port": String(http) },
    dataDir: file("data"),
    regionNats: [nats.url],
    identityFile: file("h1.json"),
    membershipPublicKeyFile: file("membership.pub"),
    goalPublicKeyFiles: [file("goal.pub")],
    listen: { host: "127.0.0.1", port: await freePort() },
    bootstrap: swarm.bootstrap,
    environment: { PATH: `${path.dirname(process.execPath)}:/usr/bin:/bin` },
    storeMaxBytes: 1024 ** 3,
    stopReleasesOnExit: false,
  };
  let reports = 0;
  connection.subscribe(hostStatusSubject("eu", "h1"), {
    callback: (_error, { data }) => {
      if (HostStatus.decode(data).hostId === "h1") reports += 1;
    },
  });
  const goal = makeGoal(1, { digest, size: sizeBytes });
  await bucket.put("web", signer.bytes(goal));
  await bucket.put(GOAL_DIGEST_KEY, encodeDigest([goal]));
  const first = await start(config);
  const service = await eventually("the release", () => ask(http));
  assert.ok(await isReached());
  assert.ok(reports > 0);

  // Somebody else's list changes nothing; the fleet's does.
  await bucket.put(REVOCATIONS_KEY, new GoalSigner().revocations(9, ["h1"]));
  await eventually("the list to be refused", () => first.errors.length === 1);
  assert.is(seeder.swarm.stats.neighbours, 1);
  await bucket.put(REVOCATIONS_KEY, signer.revocations(5, ["h1"]));
  await eventually("the host to leave", async () => !(await isReached()));
  await eventually("it to be in no swarm", () => seeder.swarm.stats.neighbours === 0);
  assert.match(first.errors.at(-1) ?? "", "this host is revoked");
  const said = reports;
  // A goal that would end it is not obeyed any more.
  const removed = { ...makeGoal(2, { digest, size: sizeBytes }), removed: true, run: undefined };
  await bucket.put("web", signer.bytes(removed));
  await bucket.delete(REVOCATIONS_KEY);
  assert.is((await ask(http))?.pid, service.pid);

  await first.agent.stop();
  const second = await start({ ...config, stopReleasesOnExit: true });
  assert.match(second.errors[0] ?? "", "this host is revoked");
  assert.is(await isReached(), false);
  assert.is((await ask(http))?.pid, service.pid);
  await second.agent.stop();
  assert.is(await ask(http), undefined);
  assert.is(seeder.swarm.stats.neighbours, 0);
  assert.is(reports, said);
});

test.run();
