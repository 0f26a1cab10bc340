import { suite } from "uvu";
import * as assert from "uvu/assert";
import { type Member, Region, contentOf, fetchAll, seed, until } from "./fixtures.js";

const test = suite<{ region: Region }>("mesh");
test.before.each((context) => {
  context.region = new Region();
});
test.after.each(({ region }) => region.close());

const neighbours = (member: Member): number => member.swarm.stats.neighbours;

test("hosts that start at the same instant find each other at once", async ({ region }) => {
  const seeder = await region.join("region");
  const { digest, content } = await seed(seeder, 8);
  const hosts = await Promise.all(Array.from({ length: 10 }, () => region.join("host")));
  const started = Date.now();
  const fetching = Promise.all(hosts.map((host) => fetchAll(host, digest)));
  await until(() => hosts.every((host) => neighbours(host) >= 8), "eight neighbours each");
  const took = Date.now() - started;
  assert.ok(took < 8_000, `${took} ms`);
  await fetching;
  for (const host of hosts) assert.ok((await contentOf(host.store, digest)).equals(content));
});

test("a dead bootstrap node delays nobody, and one that comes back is used again", async ({
  region,
}) => {
  const first = await region.join("region");
  const second = await region.join("region");
  const host = await region.join("host");
  await until(() => neighbours(host) === 2, "both region agents");
  const { digest, content } = await seed(second, 3);
  await first.swarm.close();
  const started = Date.now();
  const late = await region.join("host");
  await until(() => neighbours(late) === 2, "the other host and the other region agent");
  assert.ok(Date.now() - started < 5_000, `${Date.now() - started} ms`);
  await fetchAll(late, digest);
  assert.ok((await contentOf(late.store, digest)).equals(content));
  const again = await region.join("region", { listen: first.listen, identity: first.identity });
  await until(() => neighbours(again) === 3, "everybody", 30_000);
});

test("the only bootstrap node restarts empty, and is found again", async ({ region }) => {
  const before = await region.join("region");
  const hosts = await Promise.all([region.join("host"), region.join("host")]);
  await until(() => hosts.every((host) => neighbours(host) === 2), "all");
  await before.swarm.close();
  await until(() => hosts.every((host) => neighbours(host) === 1), "its end to be noticed");
  const after = await region.join("region", { listen: before.listen, identity: before.identity });
  await until(() => hosts.every((host) => neighbours(host) === 2), "all again", 30_000);
  const late = await region.join("host");
  await until(() => neighbours(late) === 3, "a newcomer to find all", 30_000);
  await until(() => neighbours(after) === 3, "the bootstrap node to know all");
});

test("a process that restarts with its key at once replaces itself", async ({ region }) => {
  const seeder = await region.join("region");
  const host = await region.join("host");
  await until(() => neighbours(host) === 1, "the seeder");
  await host.swarm.close();
  const again = await region.join("host", { listen: host.listen, identity: host.identity });
  await until(() => neighbours(again) === 1 && neighbours(seeder) === 1, "the seeder again");
  const { digest } = await seed(seeder, 1);
  await fetchAll(again, digest);
});

test.run();
