import {
  ApplicationGoal,
  GLOBAL_GOALS_BUCKET,
  GOAL_DIGEST_KEY,
  GoalDigest,
  Goal,
  goalSubject,
  regionGoalsBucket,
  SignedGoal,
} from "@slipway/proto";
import { startNats, type NatsServer } from "@slipway/examples/servers";
import { connect, type KV, type NatsConnection } from "nats";
import { suite } from "uvu";
import * as assert from "uvu/assert";
import { NatsLink } from "../../src/nats/link.js";
import { GoalCopier } from "../../src/region/goal-copier.js";
import { eventually, GoalSigner, log, makeGoal } from "../host/fixtures.js";

const artifact = { digest: `sha256:${"0".repeat(64)}`, size: 1 };
const signer = new GoalSigner();
const test = suite("copying goals into a region");
let nats: NatsServer;
let connection: NatsConnection;
let global: KV;
const stops: (() => Promise<void>)[] = [];

test.before(async () => {
  nats = await startNats();
  connection = await connect({ servers: nats.url });
});
test.after.each(async () => {
  for (const stop of stops.splice(0)) await stop();
});
test.after(async () => {
  await connection.close();
  await nats.stop();
});

function copier(region: string): GoalCopier {
  const [globalLink, regionLink] = ["g", "r"].map(
    (name) => new NatsLink({ servers: [nats.url], name, log }),
  ) as [NatsLink, NatsLink];
  const made = new GoalCopier({ region, globalLink, regionLink, log, pollMs: 100 });
  made.start();
  globalLink.start();
  regionLink.start();
  stops.push(async () => {
    await made.stop();
    await Promise.all([globalLink.stop(), regionLink.stop()]);
  });
  return made;
}

async function put(generation: number, region: string, application = "web"): Promise<Goal> {
  const goal = makeGoal(generation, artifact, { region, application });
  const value = ApplicationGoal.fromPartial({
    application,
    generation,
    regions: { [region]: signer.sign(goal) },
  });
  await global.put(application, ApplicationGoal.encode(value).finish());
  return goal;
}

const openBucket = (region: string) =>
  connection
    .jetstream({ timeout: 500 })
    .views.kv(regionGoalsBucket(region), { bindOnly: true, allow_direct: true });

async function generationIn(region: string, application = "web"): Promise<number> {
  const kv = await openBucket(region);
  const entry = await kv.get(application).catch(() => null);
  if (entry === null || entry.length === 0) return 0;
  return Goal.decode(SignedGoal.decode(entry.value).payload).generation;
}

async function digestOf(region: string): Promise<string> {
  const kv = await openBucket(region);
  const entry = await kv.get(GOAL_DIGEST_KEY).catch(() => null);
  const { goals } = GoalDigest.decode(entry?.value ?? new Uint8Array());
  return goals.map(({ application, generation }) => `${application}:${generation}`).join(" ");
}

test("from before there is a global bucket, to whoever listens to the region", async () => {
  const region = "eu";
  const heard: string[] = [];
  connection.subscribe(goalSubject(region, "*"), {
    callback: (_error, { subject }) => heard.push(subject),
  });
  const { stats } = copier(region);
  global = await connection.jetstream().views.kv(GLOBAL_GOALS_BUCKET, { history: 1 });
  await put(1, region);
  await eventually("the goal", async () => (await generationIn(region)) === 1);
  await eventually("the digest", async () => (await digestOf(region)) === "web:1");
  await eventually("both to be republished", () => heard.length >= 2);
  assert.ok(
    heard.includes(goalSubject(region, "web")) &&
      heard.includes(goalSubject(region, GOAL_DIGEST_KEY)),
  );
  await put(2, region, "api");
  await put(2, region);
  await eventually("both", async () => (await digestOf(region)) === "api:2 web:2");
  // Neither an older generation, nor nonsense, nor a goal of another region changes anything.
  await put(1, region);
  await global.put("bad", Buffer.from([0xff]));
  await put(9, "elsewhere", "other");
  await put(3, region, "api");
  await eventually("the next one", async () => (await digestOf(region)) === "api:3 web:2");
  assert.is(await generationIn(region), 2);
  assert.is(stats.malformed, 1);
});

test("a lost regional bucket is made again, and a wrong digest is put right", async () => {
  const region = "us";
  copier(region);
  await put(4, region);
  await eventually("the goal", async () => (await digestOf(region)) === "web:4");
  const manager = await connection.jetstreamManager();
  await manager.streams.delete(`KV_${regionGoalsBucket(region)}`);
  await eventually("the goal again", async () => (await digestOf(region)) === "web:4");
  assert.is(await generationIn(region), 4);
  const kv = await openBucket(region);
  await kv.put(GOAL_DIGEST_KEY, Buffer.from("nonsense"));
  await eventually("the digest", async () => (await digestOf(region)) === "web:4");
  await kv.put("web", Buffer.from([0xff]));
  await eventually("the goal", async () => (await generationIn(region)) === 4);
  const { config } = await manager.streams.info(`KV_${regionGoalsBucket(region)}`);
  assert.is(config.republish?.dest, goalSubject(region, ">"));
});

test("two agents at once come to the same", async () => {
  const region = "ap";
  const [one, two] = [copier(region), copier(region)];
  for (let generation = 1; generation <= 20; generation += 1) {
    await put(generation, region);
    await put(generation, region, "api");
  }
  await eventually("the last", async () => (await digestOf(region)) === "api:20 web:20");
  assert.is(await generationIn(region), 20);
  assert.is(await generationIn(region, "api"), 20);
  await eventually("both to know", () =>
    [one, two].every(({ goals }) => goals.get("web")?.generation === 20),
  );
});

test.run();
