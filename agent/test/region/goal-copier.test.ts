import { rm } from "node:fs/promises";
import path from "node:path";
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
import type { GoalKeys } from "../../src/trust/trusted-keys.js";
import { GoalCopier } from "../../src/region/goal-copier.js";
import { eventually, GoalSigner, log, makeGoal, temporaryFolder } from "../host/fixtures.js";

const artifact = { digest: `sha256:${"0".repeat(64)}`, size: 1 };
const signer = new GoalSigner();
const test = suite("copying goals into a region");
let nats: NatsServer;
let connection: NatsConnection;
/** The region's, which is the same server but where a test says otherwise. */
let regional: NatsConnection;
let global: KV;
const stops: (() => Promise<void>)[] = [];

test.before(async () => {
  nats = await startNats();
  connection = await connect({ servers: nats.url });
  regional = connection;
});
test.after.each(async () => {
  for (const stop of stops.splice(0)) await stop();
  regional = connection;
});
test.after(async () => {
  await connection.close();
  await nats.stop();
});

function copier(
  region: string,
  {
    leading = () => true,
    keys,
    regionUrl = nats.url,
    strayAfterMs,
  }: {
    leading?: () => boolean;
    keys?: GoalKeys;
    regionUrl?: string;
    strayAfterMs?: number;
  } = {},
): GoalCopier {
  const globalLink = new NatsLink({ servers: [nats.url], name: "g", log });
  const regionLink = new NatsLink({ servers: [regionUrl], name: "r", log });
  const links = { globalLink, regionLink };
  const made = new GoalCopier({ region, ...links, leading, keys, log, pollMs: 100, strayAfterMs });
  made.start();
  globalLink.start();
  regionLink.start();
  stops.push(async () => {
    await made.stop();
    await Promise.all([globalLink.stop(), regionLink.stop()]);
  });
  return made;
}

type More = Parameters<typeof makeGoal>[2];

async function put(
  generation: number,
  region: string,
  application = "web",
  { more = {}, by = signer }: { more?: More; by?: GoalSigner } = {},
): Promise<Goal> {
  const goal = makeGoal(generation, artifact, { region, application, ...more });
  const value = ApplicationGoal.fromPartial({
    application,
    generation,
    regions: { [region]: by.sign(goal) },
  });
  await global.put(application, ApplicationGoal.encode(value).finish());
  return goal;
}

const openBucket = (region: string) =>
  regional
    .jetstream({ timeout: 2_000 })
    .views.kv(regionGoalsBucket(region), { bindOnly: true, allow_direct: true });

async function goalIn(region: string, application = "web"): Promise<Goal | undefined> {
  const kv = await openBucket(region);
  const entry = await kv.get(application).catch(() => null);
  if (entry === null || entry.length === 0) return undefined;
  try {
    return Goal.decode(SignedGoal.decode(entry.value).payload);
  } catch {
    return undefined;
  }
}

async function generationIn(region: string, application = "web"): Promise<number> {
  return (await goalIn(region, application))?.generation ?? 0;
}

async function digestOf(region: string): Promise<string> {
  const kv = await openBucket(region);
  const entry = await kv.get(GOAL_DIGEST_KEY).catch(() => null);
  try {
    const { goals } = GoalDigest.decode(entry?.value ?? new Uint8Array());
    return goals.map(({ application, generation }) => `${application}:${generation}`).join(" ");
  } catch {
    return "nonsense";
  }
}

/** Whether the digest is this; not while the region's server or bucket is away. */
const seen = (region: string, digest: string): Promise<boolean> =>
  digestOf(region).then(
    (present) => present === digest,
    () => false,
  );

test("from before there is a global bucket, to whoever listens to the region", async () => {
  const region = "eu";
  const heard: string[] = [];
  connection.subscribe(goalSubject(region, "*"), {
    callback: (_error, { subject }) => heard.push(subject),
  });
  const { ignored } = copier(region);
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
  assert.is(ignored.malformed, 1);
});

test("a lost regional bucket is made again, and a wrong digest is put right", async () => {
  const region = "us";
  const { folder: dir, remove } = await temporaryFolder();
  let server = await startNats({ dir });
  const { url: regionUrl, port } = server;
  regional = await connect({ servers: regionUrl, maxReconnectAttempts: -1, reconnectTimeWait: 50 });
  const { stats } = copier(region, { regionUrl });
  const own = regional;
  stops.push(
    () => own.close(),
    () => server.stop(),
    remove,
  );
  await put(4, region);
  await eventually("the goal", () => seen(region, "web:4"));
  const copied = stats.copied;
  await server.stop();
  await rm(path.join(dir, "data"), { recursive: true });
  server = await startNats({ dir, port });
  await eventually("the goal again", () => seen(region, "web:4"));
  assert.is(stats.copied, copied + 1);
  assert.is(await generationIn(region), 4);
  const kv = await openBucket(region);
  await kv.put(GOAL_DIGEST_KEY, Buffer.from("nonsense"));
  await eventually("the digest", async () => (await digestOf(region)) === "web:4");
  await kv.put("web", Buffer.from([0xff]));
  await eventually("the goal", async () => (await generationIn(region)) === 4);
  const manager = await regional.jetstreamManager();
  const { config } = await manager.streams.info(`KV_${regionGoalsBucket(region)}`);
  assert.is(config.republish?.dest, goalSubject(region, ">"));
});

const at = (ms: number, bucketLimit: number): { more: More } => ({
  more: { issueTime: new Date(ms), bucketLimit },
});

test("a raised limit is copied within a generation, a lowered issue time never", async () => {
  const region = "limits";
  copier(region);
  await put(1, region, "web", at(1_000, 0));
  await eventually("the goal", async () => (await generationIn(region)) === 1);
  await put(1, region, "web", at(2_000, 500));
  await eventually("the limit", async () => (await goalIn(region))?.bucketLimit === 500);
  await put(1, region, "web", at(1_500, 900));
  await put(1, region, "api", at(1_000, 0));
  await eventually("the next goal", async () => (await digestOf(region)) === "api:1 web:1");
  assert.is((await goalIn(region))?.bucketLimit, 500);
  await put(2, region, "web", { more: { removed: true, run: undefined } });
  await eventually("the removal", async () => (await goalIn(region))?.removed === true);
  const kv = await openBucket(region);
  await eventually("the removal in the digest", async () => {
    const entry = await kv.get(GOAL_DIGEST_KEY);
    const { goals } = GoalDigest.decode(entry?.value ?? new Uint8Array());
    return goals.map(({ removed }) => removed).join(" ") === "false true";
  });
});

test("what somebody edits in the region is put right from the global goals", async () => {
  const region = "edited";
  const { ignored } = copier(region, { keys: signer.keys });
  const goal = await put(5, region);
  await put(7, region, "api");
  await eventually("both", async () => (await digestOf(region)) === "api:7 web:5");
  const kv = await openBucket(region);
  const right = signer.bytes(goal);
  const older = makeGoal(4, artifact, { region });
  const newer = makeGoal(99, artifact, { region });
  const other = makeGoal(7, artifact, { region, application: "api" });
  for (const [what, value] of Object.entries({
    "an older goal": signer.bytes(older),
    "another application's goal": signer.bytes(other),
    "a newer goal of somebody else": new GoalSigner().bytes(newer),
    "the goal with another limit": new GoalSigner().bytes({ ...goal, bucketLimit: 1 }),
    nonsense: Buffer.from([0xff]),
    nothing: Buffer.alloc(0),
  })) {
    const written = await kv.put("web", value);
    await eventually(`the goal in place of ${what}`, async () => {
      const entry = await kv.get("web");
      return entry !== null && entry.revision > written && right.equals(entry.value);
    });
  }
  await kv.delete("web");
  await eventually("the goal that was deleted", async () => (await generationIn(region)) === 5);
  await eventually("the digest", async () => (await digestOf(region)) === "api:7 web:5");
  // One of them is of the first test, in the global bucket.
  assert.equal(ignored, { malformed: 4, refused: 2 });
});

test("a global goal that the fleet did not sign is not copied", async () => {
  const region = "forged";
  const { ignored, stats } = copier(region, { keys: signer.keys });
  await put(1, region);
  await eventually("the goal", async () => (await generationIn(region)) === 1);
  await put(2, region, "web", { by: new GoalSigner() });
  await put(1, region, "api");
  await eventually("the other", async () => (await digestOf(region)) === "api:1 web:1");
  assert.is(await generationIn(region), 1);
  assert.is(ignored.refused, 1);
  await put(3, region);
  await eventually("the next", async () => (await digestOf(region)) === "api:1 web:3");
  assert.is(stats.copied, 3);
});

test("what somebody puts there for no application is taken out, and what the fleet signed is not", async () => {
  const region = "strays";
  let leads = false;
  const one = copier(region, {
    keys: signer.keys,
    leading: () => leads,
    strayAfterMs: 300,
  });
  const kv = await openBucket(region);
  await eventually("the bucket, which it makes", () => kv.status().catch(() => undefined));
  const stray = (application: string, by = new GoalSigner()): Buffer =>
    by.bytes(makeGoal(3, artifact, { region, application }));
  await kv.put("forged", stray("forged"));
  await kv.put("nonsense", Buffer.from([0xff]));
  await kv.put("nothing", Buffer.alloc(0));
  await kv.put("_unknown", Buffer.from("what a newer agent may know"));
  await kv.put("lost", stray("lost", signer));
  // Of an application that there is, but with a goal that is none.
  await global.put("broken", Buffer.from([0xff]));
  await kv.put("broken", stray("broken"));
  await put(1, region);
  leads = true;
  one.reconcileSoon();
  const { stats } = one;
  const there = async (): Promise<string> => {
    const found: string[] = [];
    for (const key of ["_unknown", "broken", "forged", "lost", "nonsense", "nothing", "web"]) {
      const entry = await kv.get(key);
      if (entry?.operation === "PUT") found.push(key);
    }
    return found.join(" ");
  };
  await eventually("all three to be gone", async () => stats.removed === 3);
  assert.is(await there(), "_unknown broken lost web");
  assert.equal([...one.goals.keys()].sort(), ["lost", "web"]);
  // Once it is of no application any more, that goes, too; and what comes again goes again.
  await global.delete("broken");
  await kv.put("forged", stray("forged"));
  await eventually("both to be gone", async () => stats.removed === 5);
  assert.is(await there(), "_unknown lost web");
  await put(1, region, "forged");
  await eventually("its own goal", async () => (await generationIn(region, "forged")) === 1);
});

test("only the agent that leads writes, and one that begins to catches up", async () => {
  const region = "led";
  let leads = false;
  const one = copier(region);
  const other = copier(region, { leading: () => leads });
  for (let generation = 1; generation <= 20; generation += 1) await put(generation, region);
  await eventually("the last", async () => (await digestOf(region)) === "web:20");
  await eventually("both to know", () =>
    [one, other].every(({ goals }) => goals.get("web")?.generation === 20),
  );
  const manager = await connection.jetstreamManager();
  const { state } = await manager.streams.info(`KV_${regionGoalsBucket(region)}`);
  assert.is(state.last_seq, one.stats.copied + one.stats.digests);
  assert.equal(Object.values(other.stats), [0, 0, 0, 0, 0, 0]);
  await stops.splice(0, 1)[0]?.();
  await put(21, region);
  await eventually("the follower to know", () => other.goals.get("web")?.generation === 21);
  assert.is(await generationIn(region), 20);
  leads = true;
  other.reconcileSoon();
  await eventually("the goal", async () => (await digestOf(region)) === "web:21");
  // What it wrote may be read before it has heard that it is written.
  await eventually("its count", () => other.stats.digests === 1);
  assert.equal(Object.values(other.stats), [1, 0, 1, 0, 0, 0]);
});

test("two agents that both believe they lead come to the same", async () => {
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
