import { open } from "node:fs/promises";
import { setTimeout as delay } from "node:timers/promises";
import { suite } from "uvu";
import * as assert from "uvu/assert";
import { type Member, Region, contentOf, fetchAll, put, seed, until } from "./fixtures.js";

const CHUNKS = 200;
const CHUNK_BYTES = 64 * 1024;

const test = suite<{ region: Region }>("swarm with bad peers");
test.before.each((context) => {
  context.region = new Region();
});
test.after.each(({ region }) => region.close());

/** Of all members. */
const total = (members: readonly Member[], what: "bans" | "verifyFailures" | "timeouts"): number =>
  members.reduce((sum, { swarm }) => sum + swarm.stats[what], 0);

/**
 * Six hosts fetch from a seeder that takes a moment for each chunk, while one more host, which has
 * everything, does to what it reads what it is told.
 */
async function spread(
  region: Region,
  tamper: (into: Buffer, length: number) => Promise<void> | void,
): Promise<{ hosts: Member[]; odd: Member }> {
  const seeder = await region.join("region", { tamper: () => delay(5) });
  const { digest, content, manifest } = await seed(seeder, CHUNKS, CHUNK_BYTES);
  const odd = await region.join("host", { tamper });
  await put(odd.store, content, manifest);
  odd.swarm.announce(digest);
  const hosts = await Promise.all(Array.from({ length: 6 }, () => region.join("host")));
  const standing = (): boolean => hosts.every(({ swarm }) => swarm.stats.neighbours >= 7);
  await until(standing, "everybody to know everybody");
  const started = Date.now();
  await Promise.all(hosts.map((host) => fetchAll(host, digest, AbortSignal.timeout(60_000))));
  console.log(`everybody done after ${Date.now() - started} ms`);
  for (const { store } of hosts) assert.ok((await contentOf(store, digest)).equals(content));
  return { hosts, odd };
}

test("one that sends wrong bytes now and then is banned, and everybody finishes", async ({
  region,
}) => {
  let reads = 0;
  const { hosts, odd } = await spread(region, (into) => {
    if (reads++ % 100 === 0) into[0] = (into[0] ?? 0) ^ 1;
  });
  const banned = total(hosts, "bans");
  assert.ok(banned > 0, "nobody was banned");
  assert.is(banned, total(hosts, "verifyFailures"));
  const dropped = (): boolean => odd.swarm.stats.neighbours <= hosts.length + 1 - banned;
  await until(dropped, "the connections with it to end");
});

test("one that takes requests and never answers delays nobody for long", async ({ region }) => {
  const { hosts } = await spread(region, () => new Promise<void>(() => {}));
  assert.is(total(hosts, "bans"), 0);
});

test("one that is a hundred times slower is left behind", async ({ region }) => {
  const { hosts } = await spread(region, () => delay(500));
  assert.is(total(hosts, "bans"), 0);
});

test("the only seeder's copy is damaged: it shares no more of it, and then a new one", async ({
  region,
}) => {
  const damaged: string[] = [];
  const seeder = await region.join("region", { onDamaged: (digest) => damaged.push(digest) });
  const { digest, content, manifest } = await seed(seeder, 20, CHUNK_BYTES);
  const file = await open((await seeder.store.path(digest)) ?? "", "r+");
  await file.write(Buffer.from("damage"), 0, 6, 7 * CHUNK_BYTES);
  await file.close();
  const host = await region.join("host");
  const started = Date.now();
  const fetching = fetchAll(host, digest);
  await until(() => damaged.length > 0, "the seeder to find out");
  assert.equal(damaged, [digest]);
  assert.ok(!(await seeder.store.verify(digest)), "its store finds out too");
  await put(seeder.store, content, manifest);
  seeder.swarm.announce(digest);
  await fetching;
  console.log(`done after ${Date.now() - started} ms`);
  assert.ok((await contentOf(host.store, digest)).equals(content));
});

test.run();
