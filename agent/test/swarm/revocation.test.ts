import { suite } from "uvu";
import * as assert from "uvu/assert";
import { type Member, Region, contentOf, fetchAll, seed, until } from "./fixtures.js";

const test = suite<{ region: Region }>("revoked members");

test.before.each((context) => {
  context.region = new Region();
});
test.after.each(({ region }) => region.close());

const MIB = 1024 * 1024;
const received = ({ swarm: { stats } }: Member): number =>
  stats.bytesFromPeers + stats.bytesFromSeeders;

for (const encryption of ["tls-psk", "none"] as const) {
  test(`one revoked amid a download loses all its connections (${encryption})`, async ({
    region,
  }) => {
    const seeder = await region.join("region", { encryption });
    const { digest, content } = await seed(seeder, 48);
    const revoked = await region.join("host", {
      encryption,
      maxDownloadBytesPerSecond: MIB,
    });
    const others = [
      await region.join("host", { encryption, maxDownloadBytesPerSecond: 4 * MIB }),
      await region.join("host", { encryption, maxDownloadBytesPerSecond: 4 * MIB }),
    ];
    await until(() => revoked.swarm.stats.homeNeighbours === 2, "its neighbours");
    const done = others.map((other) => fetchAll(other, digest));
    const ending = new AbortController();
    const lost = fetchAll(revoked, digest, ending.signal).catch((error: unknown) => error);
    await until(() => received(revoked) > 0, "its first chunk");

    const ids = new Set([revoked.id]);
    const started = performance.now();
    for (const { swarm } of [seeder, ...others]) swarm.setRevoked(ids);
    await until(() => revoked.swarm.stats.neighbours === 0, "it to be alone", 5_000);
    assert.ok(performance.now() - started < 5_000);
    const had = received(revoked);
    assert.ok(had < content.length);
    for (const { swarm } of [seeder, ...others]) assert.is(swarm.stats.revokedRefusals, 1);

    await Promise.all(done);
    for (const { store, swarm } of others) {
      assert.ok(content.equals(await contentOf(store, digest)));
      assert.is(swarm.stats.homeNeighbours, 1);
      assert.is(swarm.stats.seederNeighbours, 1);
      assert.is(swarm.stats.bans + swarm.stats.protocolErrors, 0);
    }
    // It has tried to come back all the while.
    assert.is(revoked.swarm.stats.neighbours, 0);
    assert.is(received(revoked), had);
    ending.abort(new Error("enough"));
    assert.is(((await lost) as Error).message, "enough");
  });
}

test("a revoked id is refused at hello, whatever its key, by those who know", async ({
  region,
}) => {
  const revoked = new Set(["gone"]);
  const seeder = await region.join("region", { revoked });
  const { digest } = await seed(seeder, 2);
  const gone = await region.join("host", { identity: region.identity("gone", "host") });
  await until(() => seeder.swarm.stats.revokedRefusals > 0, "a refusal");
  assert.is(seeder.swarm.stats.membershipRefusals, 0);
  assert.is(seeder.swarm.stats.neighbours, 0);
  const other = await region.join("host", { revoked });
  await fetchAll(other, digest);
  await until(() => other.swarm.stats.revokedRefusals > 0, "the other's refusal");
  assert.is(gone.swarm.stats.neighbours, 0);
  assert.is(received(gone), 0);
  assert.is(seeder.swarm.stats.neighbours, 1);
});

test("more than 100,000 are too many", async ({ region }) => {
  const many = new Set(Array.from({ length: 100_001 }, (_, n) => `h${n}`));
  const error = await region.join("region", { revoked: many }).catch((reason: unknown) => reason);
  assert.instance(error, RangeError);
  const seeder = await region.join("region");
  assert.throws(() => seeder.swarm.setRevoked(many), /100001 revoked ids/);
  many.delete("h0");
  seeder.swarm.setRevoked(many);
});

test.run();
