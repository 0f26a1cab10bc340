import {
  GLOBAL_GOALS_BUCKET,
  GOAL_DIGEST_KEY,
  GoalDigest,
  goalSubject,
  regionGoalsBucket,
  REVOCATIONS_KEY,
} from "@slipway/proto";
import { startNats, type NatsServer } from "@slipway/examples/servers";
import { connect, type KV, type NatsConnection } from "nats";
import { suite } from "uvu";
import * as assert from "uvu/assert";
import { NatsLink } from "../../src/nats/link.js";
import { GoalCopier } from "../../src/region/goal-copier.js";
import { eventually, GoalSigner, log } from "../host/fixtures.js";

const test = suite("copying revocations into a region");
const signer = new GoalSigner();
let nats: NatsServer;
let connection: NatsConnection;
let global: KV;
const stops: (() => Promise<void>)[] = [];

test.before(async () => {
  nats = await startNats();
  connection = await connect({ servers: nats.url });
  global = await connection.jetstream().views.kv(GLOBAL_GOALS_BUCKET, { history: 1 });
});
test.after.each(async () => {
  for (const stop of stops.splice(0)) await stop();
});
test.after(async () => {
  await connection.close();
  await nats.stop();
});

/** An agent's copier, and the versions that it has handed on. */
function copier(region: string, leading: () => boolean = () => true) {
  const [globalLink, regionLink] = ["g", "r"].map(
    (name) => new NatsLink({ servers: [nats.url], name, log }),
  ) as [NatsLink, NatsLink];
  const seen = new Set<number>();
  const made = new GoalCopier({
    region,
    globalLink,
    regionLink,
    leading,
    keys: signer.keys,
    onRevocations: ({ version }) => seen.add(version),
    log,
    pollMs: 100,
  });
  made.start();
  globalLink.start();
  regionLink.start();
  stops.push(async () => {
    await made.stop();
    await Promise.all([globalLink.stop(), regionLink.stop()]);
  });
  return { copier: made, seen };
}

async function regional(region: string, key: string): Promise<Uint8Array | undefined> {
  const kv = await connection
    .jetstream({ timeout: 2_000 })
    .views.kv(regionGoalsBucket(region), { bindOnly: true, allow_direct: true })
    .catch(() => undefined);
  return (await kv?.get(key).catch(() => undefined))?.value;
}
const isThere = (region: string, list: Buffer): Promise<boolean> =>
  eventually("the list in the region", async () => {
    const value = await regional(region, REVOCATIONS_KEY);
    return value !== undefined && list.equals(value);
  });
const digestSays = (region: string, version: number): Promise<boolean> =>
  eventually(`version ${version} in the digest`, async () => {
    const value = await regional(region, GOAL_DIGEST_KEY);
    return value !== undefined && GoalDigest.decode(value).revocationsVersion === version;
  });

test("the newest list is copied, republished and named by the digest", async () => {
  const region = "eu";
  const heard: string[] = [];
  connection.subscribe(goalSubject(region, "*"), {
    callback: (_error, { subject }) => heard.push(subject),
  });
  const first = signer.revocations(5, ["h1"]);
  await global.put(REVOCATIONS_KEY, first);
  const { copier: made, seen } = copier(region);
  await isThere(region, first);
  await digestSays(region, 5);
  await eventually("it to be republished", () =>
    heard.includes(goalSubject(region, REVOCATIONS_KEY)),
  );
  // Neither an older one, nor nonsense, nor what the fleet did not sign.
  for (const wrong of [
    signer.revocations(4, []),
    Buffer.from([0xff]),
    new GoalSigner().revocations(9, []),
  ]) {
    await global.put(REVOCATIONS_KEY, wrong);
  }
  const next = signer.revocations(6, ["h2", "h1"]);
  await global.put(REVOCATIONS_KEY, next);
  await isThere(region, next);
  await digestSays(region, 6);
  assert.is(made.stats.revocations, 2);
  assert.ok(seen.has(5) && seen.has(6) && !seen.has(9));
  assert.equal(made.ignored, { malformed: 0, refused: 0 }, "it is no goal");
});

test("a regional list that makes no sense, or is lost, is put right; a newer one stays", async () => {
  const region = "us";
  const list = signer.revocations(6, ["h1"]);
  await global.put(REVOCATIONS_KEY, list);
  const { seen } = copier(region);
  await isThere(region, list);
  const kv = await connection.jetstream().views.kv(regionGoalsBucket(region), { bindOnly: true });
  for (const wrong of [Buffer.from([0xff]), new GoalSigner().revocations(99, [])]) {
    await kv.put(REVOCATIONS_KEY, wrong);
    await isThere(region, list);
  }
  await kv.delete(REVOCATIONS_KEY);
  await isThere(region, list);
  const newer = signer.revocations(8, ["h1", "h3"]);
  await kv.put(REVOCATIONS_KEY, newer);
  await digestSays(region, 8);
  await isThere(region, newer);
  assert.ok(seen.has(8));
});

test("only the agent that leads writes; the others know the list all the same", async () => {
  const region = "ap";
  const list = signer.revocations(20, ["h1"]);
  await global.put(REVOCATIONS_KEY, list);
  let leads = false;
  const { copier: made, seen } = copier(region, () => leads);
  await eventually("the list to be seen", () => seen.has(20));
  assert.is(await regional(region, REVOCATIONS_KEY), undefined);
  leads = true;
  made.reconcileSoon();
  await isThere(region, list);
});

test.run();
