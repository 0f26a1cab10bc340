import { suite } from "uvu";
import * as assert from "uvu/assert";
import { type Member, Region, contentOf, fetchAll, seed } from "./fixtures.js";

const test = suite<{ region: Region }>("swarm");
test.before.each((context) => {
  context.region = new Region();
});
test.after.each(({ region }) => region.close());

test("a seeder and four hosts: all get the right bytes, some of them from each other", async ({
  region,
}) => {
  const seeder = await region.join("region");
  const { digest, content } = await seed(seeder, 32, 1024 * 1024);
  const hosts = await Promise.all([1, 2, 3, 4].map(() => region.join("host")));
  const results = await Promise.all(hosts.map((host) => fetchAll(host, digest)));
  for (const [index, { last }] of results.entries()) {
    const host = hosts[index] as Member;
    assert.ok((await contentOf(host.store, digest)).equals(content));
    assert.is(last.bytesDone, content.length);
    assert.is(last.total, content.length);
    assert.is(last.fromPeers + last.fromSeeders + last.fromLocal, content.length);
    assert.is(host.swarm.stats.verifyFailures, 0);
    assert.is(host.swarm.stats.protocolErrors, 0);
    assert.is(host.swarm.stats.fallbackChunks, 0);
  }
  const fromPeers = results.reduce((sum, { last }) => sum + last.fromPeers, 0);
  console.log(
    "fromPeers",
    fromPeers / content.length,
    "seeder sent",
    seeder.swarm.stats.bytesSent / content.length,
    hosts.map((h) => h.swarm.stats),
  );
  assert.ok(fromPeers > content.length, `${fromPeers} bytes from peers`);
});

test.run();
