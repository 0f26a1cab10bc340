import {
  Goal,
  GOAL_DIGEST_KEY,
  goalSubject,
  KEY_SET_KEY,
  regionGoalsBucket,
  REVOCATIONS_KEY,
  SignedGoal,
} from "@slipway/proto";
import { startNats, type NatsServer } from "@slipway/examples/servers";
import { connect, StorageType, type KV, type NatsConnection } from "nats";
import { suite } from "uvu";
import * as assert from "uvu/assert";
import { GoalFollower } from "../../src/host/goal-follower.js";
import { compareGoalOrder, goalOrder, type GoalOrder } from "../../src/host/goal-order.js";
import { NatsLink } from "../../src/nats/link.js";
import { encodeDigest } from "../../src/region/plan-goals.js";
import { eventually, GoalSigner, log, makeGoal } from "./fixtures.js";

const artifact = { digest: `sha256:${"0".repeat(64)}`, size: 1 };
const test = suite("following goals");
const signer = new GoalSigner();
let nats: NatsServer;
let connection: NatsConnection;

test.before(async () => {
  nats = await startNats();
  connection = await connect({ servers: nats.url });
});
test.after(async () => {
  await connection.close();
  await nats.stop();
});

function bucket(region: string, republish: boolean): Promise<KV> {
  const name = regionGoalsBucket(region);
  return connection.jetstream().views.kv(name, {
    storage: StorageType.File,
    allow_direct: true,
    ...(republish ? { republish: { src: `$KV.${name}.>`, dest: goalSubject(region, ">") } } : {}),
  });
}

/** A follower that remembers what it saw, as a host does. */
function follow(region: string, pollMs: number) {
  const seen = new Map<string, GoalOrder>();
  const heard: string[] = [];
  const link = new NatsLink({ servers: [nats.url], name: "test", log });
  const follower = new GoalFollower({
    link,
    region,
    log,
    pollMs: () => pollMs,
    wants: (version) => {
      const known = seen.get(version.application);
      return known === undefined || compareGoalOrder(goalOrder(version), known) > 0;
    },
    onGoal: (application, signed) => {
      seen.set(application, goalOrder(Goal.decode(SignedGoal.decode(signed).payload)));
      heard.push(`${application}:${signed.length}`);
    },
  });
  follower.start();
  link.start();
  return {
    heard,
    link,
    stop: async () => {
      await follower.stop();
      await link.stop();
    },
  };
}

test("hears what is republished, before there is a bucket and with hours between polls", async () => {
  const { heard, link, stop } = follow("eu", 3_600_000);
  await eventually("a connection", () => link.connection !== undefined);
  await link.connection?.flush();
  const kv = await bucket("eu", true);
  const bytes = signer.bytes(makeGoal(1, artifact));
  await kv.put("web", bytes);
  await eventually("the goal", () => heard.includes(`web:${bytes.length}`));
  await kv.delete("web");
  await kv.put("web2", bytes);
  await eventually("the next goal", () => heard.includes(`web2:${bytes.length}`));
  assert.is(heard.length, 2);
  await stop();
});

test("reads what it missed, and only what changed", async () => {
  const kv = await bucket("us", false);
  const goal = makeGoal(1, artifact, { region: "us" });
  const bytes = signer.bytes(goal);
  await kv.put("web", bytes);
  await kv.put(GOAL_DIGEST_KEY, encodeDigest([goal]));
  const { heard, stop } = follow("us", 50);
  await eventually("the first goal", () => heard.length === 1);
  const next = makeGoal(2, artifact, { region: "us" });
  await kv.put("web", signer.bytes(next));
  await kv.put(GOAL_DIGEST_KEY, encodeDigest([next]));
  await eventually("the goal that nobody republished", () => heard.length === 2);
  await kv.put(GOAL_DIGEST_KEY, Buffer.from([0xff]));
  await kv.put("api", bytes);
  await kv.put(GOAL_DIGEST_KEY, encodeDigest([next, { ...next, application: "api" }]));
  await eventually("the other application", () => heard.length === 3);
  assert.equal(
    heard.map((line) => line.split(":")[0]),
    ["web", "web", "api"],
  );
  await stop();
  await stop();
});

test("reads what it missed when a digest says so", async () => {
  const kv = await bucket("sa", false);
  const goal = makeGoal(1, artifact, { region: "sa" });
  await kv.put("web", signer.bytes(goal));
  const { heard, link, stop } = follow("sa", 3_600_000);
  await eventually("a connection", () => link.connection !== undefined);
  await link.connection?.flush();
  const digest = encodeDigest([goal]);
  await kv.put(GOAL_DIGEST_KEY, digest);
  connection.publish(goalSubject("sa", GOAL_DIGEST_KEY), Buffer.from([0xff]));
  connection.publish(goalSubject("sa", GOAL_DIGEST_KEY), digest);
  await eventually("the goal", () => heard.length === 1);
  await stop();
});

test("hears of revoked hosts, and reads the list only if the digest names a newer one", async () => {
  const kv = await bucket("af", true);
  await kv.put(REVOCATIONS_KEY, signer.revocations(5, ["h1"]));
  await kv.put(GOAL_DIGEST_KEY, encodeDigest([], { revocationsVersion: 5 }));
  const link = new NatsLink({ servers: [nats.url], name: "test", log });
  const lists: Buffer[] = [];
  const revocations = {
    version: 0,
    onValue: (list: Buffer) => {
      lists.push(list);
      revocations.version += 5;
    },
  };
  const follower = new GoalFollower({
    link,
    region: "af",
    log,
    pollMs: () => 50,
    wants: () => false,
    onGoal: () => assert.unreachable("no goal"),
    revocations,
  });
  follower.start();
  link.start();
  await eventually("what was there before", () => lists.length === 1);
  const next = signer.revocations(10, ["h2", "h1"]);
  await kv.put(REVOCATIONS_KEY, next);
  await eventually("what is republished", () => lists.length === 2);
  assert.ok(lists[1]?.equals(next));
  await kv.put(GOAL_DIGEST_KEY, encodeDigest([], { revocationsVersion: 10 }));
  await kv.put(GOAL_DIGEST_KEY, encodeDigest([], { revocationsVersion: 11 }));
  await eventually("a newer one to be looked for", () => lists.length === 3);
  await follower.stop();
  await link.stop();
});

test("reads the key set before what is checked by it, and again what was refused before", async () => {
  const kv = await bucket("oc", true);
  await kv.put(KEY_SET_KEY, Buffer.from("keys"));
  const goal = makeGoal(1, artifact);
  await kv.put("web", signer.bytes(goal));
  await kv.put(GOAL_DIGEST_KEY, encodeDigest([goal], { keySetVersion: 3 }));
  const link = new NatsLink({ servers: [nats.url], name: "test", log });
  const read: string[] = [];
  const keySet = {
    version: 0,
    onValue: (value: Buffer) => {
      read.push(value.toString());
      keySet.version = 3;
    },
  };
  const follower = new GoalFollower({
    link,
    region: "oc",
    log,
    wants: () => true,
    onGoal: (application) => read.push(application),
    keySet,
  });
  follower.start();
  link.start();
  await eventually("both", () => read.length >= 2);
  assert.equal(read.slice(0, 2), ["keys", "web"]);
  const before = read.length;
  follower.lookSoon();
  await eventually("the goal again", () => read.length > before);
  assert.is(read.at(-1), "web");
  await kv.put(KEY_SET_KEY, Buffer.from("more keys"));
  await eventually("what is republished", () => read.includes("more keys"));
  await follower.stop();
  await link.stop();
});

test("reads again as soon as the server is back", async () => {
  const first = await startNats();
  const { dir, port } = first;
  const link = new NatsLink({ servers: [first.url], name: "test", log });
  const heard: string[] = [];
  const follower = new GoalFollower({
    link,
    region: "ap",
    log,
    pollMs: () => 3_600_000,
    wants: () => true,
    onGoal: (application) => heard.push(application),
  });
  follower.start();
  link.start();
  await eventually("a connection", () => link.connection !== undefined);
  await first.stop();
  await eventually("the loss to be seen", () => link.connection === undefined);
  assert.not(link.publish("x", new Uint8Array()));
  const second = await startNats({ port });
  const other = await connect({ servers: second.url });
  const name = regionGoalsBucket("ap");
  const kv = await other.jetstream().views.kv(name, { allow_direct: true });
  const goal = makeGoal(1, artifact, { region: "ap" });
  await kv.put("web", signer.bytes(goal));
  await kv.put(GOAL_DIGEST_KEY, encodeDigest([goal]));
  await eventually("the goal after the reconnect", () => heard.length > 0);
  await follower.stop();
  await link.stop();
  await other.close();
  await second.stop();
  assert.ok(dir !== second.dir);
});

test.run();
