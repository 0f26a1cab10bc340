import { randomUUID } from "node:crypto";
import { rm } from "node:fs/promises";
import path from "node:path";
import { REGION_LEASE_KEY, RegionLease, regionLeaseBucket } from "@slipway/proto";
import { startNats, type NatsServer } from "@slipway/examples/servers";
import { connect, type NatsConnection } from "nats";
import { suite } from "uvu";
import * as assert from "uvu/assert";
import { NatsLink } from "../../src/nats/link.js";
import { LeaderLease } from "../../src/region/leader-lease.js";
import { eventually, log, temporaryFolder } from "../host/fixtures.js";

const LEASE_MS = 600;
const test = suite("the region's lease");
let nats: NatsServer;
let removeFolder: () => Promise<void>;
let connection: NatsConnection;
const stops: (() => Promise<void>)[] = [];

test.before(async () => {
  const { folder, remove } = await temporaryFolder();
  removeFolder = remove;
  nats = await startNats({ dir: folder });
  const reconnect = { maxReconnectAttempts: -1, reconnectTimeWait: 100 };
  connection = await connect({ servers: nats.url, ...reconnect });
});
test.after.each(async () => {
  for (const stop of stops.splice(0)) await stop();
});
test.after(async () => {
  await connection.close();
  await nats.stop();
  await removeFolder();
});

interface Candidate {
  lease: LeaderLease;
  /** Ends it without a word, as kill -9 does. */
  kill: () => Promise<void>;
}

function candidate(region: string, agentId: string): Candidate {
  const link = new NatsLink({ servers: [nats.url], name: agentId, log });
  const incarnation = randomUUID();
  const lease = new LeaderLease({ link, region, agentId, incarnation, log, leaseMs: LEASE_MS });
  lease.start();
  link.start();
  const kill = async (): Promise<void> => {
    await link.stop();
    await lease.stop();
  };
  stops.push(async () => {
    await lease.stop();
    await link.stop();
  });
  return { lease, kill };
}

const leads = ({ lease }: Candidate): boolean => lease.term > 0;

async function valueIn(region: string): Promise<RegionLease> {
  const kv = await connection.jetstream().views.kv(regionLeaseBucket(region));
  const entry = await kv.get(REGION_LEASE_KEY);
  return RegionLease.decode(entry?.value ?? new Uint8Array());
}

test("one of several leads, and keeps the lease", async () => {
  const all = ["a", "b", "c"].map((id) => candidate("eu", id));
  await eventually("one to lead", () => all.some(leads));
  const terms: number[] = [];
  const until = performance.now() + 3 * LEASE_MS;
  await eventually("three times the lease to pass", () => {
    assert.is(all.filter(leads).length, 1);
    terms.push(Math.max(...all.map(({ lease }) => lease.term)));
    return performance.now() > until;
  });
  assert.is(new Set(terms).size, 1);
  const leader = all.find(leads);
  const value = await valueIn("eu");
  assert.is(value.term, leader?.lease.term);
  assert.ok((value.expireTime?.getTime() ?? 0) > Date.now() - LEASE_MS);
});

test("given back, it is another's at once; after a death, within the lease and a bit", async () => {
  const one = candidate("us", "one");
  await eventually("the first to lead", () => leads(one));
  const { term } = one.lease;
  const two = candidate("us", "two");
  await one.lease.stop();
  const stoppedAt = performance.now();
  assert.is(one.lease.term, 0);
  await eventually("the second to lead", () => leads(two));
  assert.ok(performance.now() - stoppedAt < LEASE_MS / 2, "at once");
  assert.ok(two.lease.term > term);
  const three = candidate("us", "three");
  await eventually(
    "the third to see the lease",
    async () => (await valueIn("us")).agentId === "two",
  );
  await two.kill();
  const killedAt = performance.now();
  await eventually("the third to lead", () => leads(three));
  assert.ok(performance.now() - killedAt < 3 * LEASE_MS);
  assert.is((await valueIn("us")).agentId, "three");
  assert.equal(three.lease.stats, { gained: 1, lost: 0 });
});

test("an agent whose lease another took does not lead any more", async () => {
  const one = candidate("ap", "one");
  await eventually("it to lead", () => leads(one));
  const kv = await connection.jetstream().views.kv(regionLeaseBucket("ap"));
  const term = one.lease.term + 1;
  const value = RegionLease.encode(RegionLease.fromPartial({ agentId: "two", term })).finish();
  await kv.put(REGION_LEASE_KEY, value);
  await eventually("it to see that", () => !leads(one));
  await eventually("it to lead again, as nobody renews the other's", () => leads(one));
  assert.ok(one.lease.term > term);
  assert.equal(one.lease.stats, { gained: 2, lost: 1 });
});

test("of twins one leads, also when the other's lease has the very term that it tried", async () => {
  const both = ["one", "one"].map((id) => candidate("twins", id));
  await eventually("one to lead", () => both.some(leads));
  const leader = both.find(leads);
  const kv = await connection.jetstream().views.kv(regionLeaseBucket("twins"));
  const value = RegionLease.encode({ ...(await valueIn("twins")), incarnation: "twin" }).finish();
  await kv.put(REGION_LEASE_KEY, value);
  await eventually("it to see that", () => leader?.lease.term === 0);
  await eventually("one to lead again", () => both.some(leads));
  assert.is(both.filter(leads).length, 1);
});

test("what cannot be read is respected for as long as a lease", async () => {
  const kv = await connection.jetstream().views.kv(regionLeaseBucket("sa"));
  await kv.put(REGION_LEASE_KEY, Buffer.from([0xff]));
  const startedAt = performance.now();
  const one = candidate("sa", "one");
  await eventually("it to lead", () => leads(one));
  assert.ok(performance.now() - startedAt > LEASE_MS);
});

test("while nats is away nobody leads, and after it one does, also if it lost everything", async () => {
  const both = ["a", "b"].map((id) => candidate("af", id));
  const highest = (): number => Math.max(...both.map(({ lease }) => lease.term));
  await eventually("one to lead", () => both.some(leads));
  const { port, dir } = nats;
  for (const isLost of [false, true]) {
    const term = highest();
    await nats.stop();
    await eventually("nobody to lead", () => !both.some(leads));
    if (isLost) await rm(path.join(dir, "data"), { recursive: true });
    nats = await startNats({ port, dir });
    await eventually("one to lead", () => both.some(leads));
    assert.is(both.filter(leads).length, 1);
    assert.ok(isLost ? highest() > term : highest() >= term);
  }
});

test.run();
