import { generateKeyPairSync } from "node:crypto";
import {
  GLOBAL_GOALS_BUCKET,
  GOAL_DIGEST_KEY,
  GoalDigest,
  KEY_SET_KEY,
  regionGoalsBucket,
} from "@slipway/proto";
import { startNats, type NatsServer } from "@slipway/examples/servers";
import { connect, type KV, type NatsConnection } from "nats";
import { suite } from "uvu";
import { NatsLink } from "../../src/nats/link.js";
import { GoalCopier } from "../../src/region/goal-copier.js";
import { eventually, log } from "../host/fixtures.js";
import { Root } from "../trust/fixtures.js";

const test = suite("copying key sets into a region, without a root key");
const root = new Root();
const goal = [generateKeyPairSync("ed25519").publicKey];
const set = (version: number): Buffer => root.set(version, { goal, membership: goal });
let nats: NatsServer;
let connection: NatsConnection;
let global: KV;
let regional: KV;
let copier: GoalCopier;
let leads = false;
const links: NatsLink[] = [];

test.before(async () => {
  nats = await startNats();
  connection = await connect({ servers: nats.url });
  global = await connection.jetstream().views.kv(GLOBAL_GOALS_BUCKET, { history: 1 });
  const link = (name: string): NatsLink => {
    const made = new NatsLink({ servers: [nats.url], name, log });
    links.push(made);
    return made;
  };
  const [globalLink, regionLink] = [link("g"), link("r")];
  copier = new GoalCopier({
    region: "eu",
    globalLink,
    regionLink,
    leading: () => leads,
    log,
    pollMs: 100,
  });
  copier.start();
  for (const one of links) one.start();
  regional = await eventually("the region's bucket", () =>
    connection
      .jetstream({ timeout: 2_000 })
      .views.kv(regionGoalsBucket("eu"), { bindOnly: true, allow_direct: true })
      .catch(() => undefined),
  );
});
test.after(async () => {
  await copier.stop();
  for (const link of links) await link.stop();
  await connection.close();
  await nats.stop();
});

const holds = (version: number): Promise<boolean> =>
  eventually(`version ${version} in the region, and in the digest`, async () => {
    const [value, digest] = [await regional.get(KEY_SET_KEY), await regional.get(GOAL_DIGEST_KEY)];
    return (
      value !== null &&
      digest !== null &&
      set(version).equals(value.value) &&
      GoalDigest.decode(digest.value).keySetVersion === version
    );
  });

test("only the agent that leads copies", async () => {
  await global.put(KEY_SET_KEY, set(3));
  await global.put("nobody", Buffer.from([0xff]));
  await eventually("it to be read", () => copier.ignored.malformed === 1);
  // A bucket that was just made may leave the first look unanswered.
  await eventually("the bucket to answer that it has none", () =>
    regional.get(KEY_SET_KEY).then(
      (entry) => entry === null,
      () => false,
    ),
  );
  leads = true;
  copier.reconcileSoon();
  await holds(3);
});

test("neither an older one is copied, nor nonsense; what is lost is put back", async () => {
  for (const wrong of [set(2), Buffer.from("nonsense")]) await global.put(KEY_SET_KEY, wrong);
  await global.put(KEY_SET_KEY, set(4));
  await holds(4);
  await regional.delete(KEY_SET_KEY);
  await holds(4);
  await regional.put(KEY_SET_KEY, Buffer.from("nonsense"));
  await holds(4);
  await eventually("all to be counted", () => copier.stats.keySets === 4);
});

test.run();
