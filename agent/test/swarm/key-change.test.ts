import { generateKeyPairSync, sign } from "node:crypto";
import { MEMBERSHIP_SIGNATURE_CONTEXT, MembershipCertificate, verifyKeySet } from "@slipway/proto";
import { suite } from "uvu";
import * as assert from "uvu/assert";
import { createIdentity, type Identity } from "../../src/swarm/identity.js";
import { TrustedKeys } from "../../src/trust/trusted-keys.js";
import { type Listed, Root } from "../trust/fixtures.js";
import { type Member, Region, contentOf, fetchAll, seed, until } from "./fixtures.js";

const test = suite<{ region: Region }>("membership keys that come and go");

test.before.each((context) => {
  context.region = new Region();
});
test.after.each(({ region }) => region.close());

const MIB = 1024 * 1024;
const [old, next] = [generateKeyPairSync("ed25519"), generateKeyPairSync("ed25519")];
const goal = [generateKeyPairSync("ed25519").publicKey];
const received = ({ swarm: { stats } }: Member): number =>
  stats.bytesFromPeers + stats.bytesFromSeeders;

/** What all members of a region go by. */
function fleet(...first: Listed[]) {
  const root = new Root();
  const clock = { now: 0 };
  const keys = new TrustedKeys({
    first: { goalKeys: [], membershipKeys: [] },
    rootKeys: [root.publicKey],
    now: () => clock.now,
  });
  const list = (version: number, ...membership: Listed[]): void => {
    const set = verifyKeySet(root.set(version, { goal, membership }), [root.publicKey]);
    assert.is(keys.take(set), "taken");
  };
  list(1, ...first);
  return { membershipPublicKey: keys.memberships, list, clock };
}

function identity(id: string, role: "host" | "region", by: typeof old): Identity {
  const expireTime = new Date(Date.now() + 3_600_000);
  return createIdentity({ id, region: "eu", role, membershipKey: by.privateKey, expireTime });
}

/** The same member, certified by another key. */
function certified({ certificate }: Identity, by: typeof old): Buffer {
  const { payload } = MembershipCertificate.decode(certificate);
  const message = Buffer.concat([Buffer.from(MEMBERSHIP_SIGNATURE_CONTEXT), payload]);
  const signature = sign(null, message, by.privateKey);
  return Buffer.from(MembershipCertificate.encode({ payload, signature }).finish());
}

for (const encryption of ["tls-psk", "none"] as const) {
  test(`old and new ones talk until the old one goes, amid a download (${encryption})`, async ({
    region,
  }) => {
    const { membershipPublicKey, list } = fleet(old.publicKey, next.publicKey);
    const common = { encryption, membershipPublicKey };
    const seeder = await region.join("region", {
      ...common,
      identity: identity("seeder", "region", next),
    });
    const { digest, content } = await seed(seeder, 48);
    const before = await region.join("host", {
      ...common,
      identity: identity("before", "host", old),
      maxDownloadBytesPerSecond: MIB,
    });
    const renewed = identity("renewed", "host", old);
    const others = [
      await region.join("host", {
        ...common,
        identity: identity("after", "host", next),
        maxDownloadBytesPerSecond: 4 * MIB,
      }),
      await region.join("host", {
        ...common,
        identity: renewed,
        maxDownloadBytesPerSecond: 4 * MIB,
      }),
    ];
    await until(() => before.swarm.stats.homeNeighbours === 2, "its neighbours");
    const done = others.map((other) => fetchAll(other, digest));
    const ending = new AbortController();
    const lost = fetchAll(before, digest, ending.signal).catch((error: unknown) => error);
    await until(() => received(before) > 0, "its first chunk");
    others[1]?.swarm.setCertificate(certified(renewed, next));

    list(2, next.publicKey);
    await until(() => before.swarm.stats.neighbours === 0, "it to be alone", 10_000);
    const had = received(before);
    assert.ok(had < content.length);
    await Promise.all(done);
    for (const { store, swarm } of others) {
      assert.ok(content.equals(await contentOf(store, digest)));
      assert.equal([swarm.stats.homeNeighbours, swarm.stats.seederNeighbours], [1, 1]);
      assert.is(swarm.stats.bans + swarm.stats.protocolErrors, 0);
    }
    // It has tried to come back all the while.
    assert.equal([before.swarm.stats.neighbours, received(before)], [0, had]);
    assert.ok(seeder.swarm.stats.membershipRefusals > 0);
    ending.abort(new Error("enough"));
    assert.is(((await lost) as Error).message, "enough");
    // With a certificate of the new key it is a member again.
    before.swarm.setCertificate(certified(before.identity, next));
    await until(() => before.swarm.stats.neighbours === 3, "it to be back", 60_000);
  });
}

test("a key that ends ends the connections of those whom it certified", async ({ region }) => {
  const notAfter = new Date(1_000);
  const { membershipPublicKey, clock } = fleet({ key: old.publicKey, notAfter }, next.publicKey);
  const seeder = await region.join("region", {
    membershipPublicKey,
    identity: identity("seeder", "region", next),
  });
  const { digest } = await seed(seeder, 2);
  const ends = await region.join("host", {
    membershipPublicKey,
    identity: identity("ends", "host", old),
  });
  await fetchAll(ends, digest);
  clock.now = 1_000;
  await until(() => ends.swarm.stats.neighbours === 0, "its end", 15_000);
});

test("members who know only the membership key are met as well", async ({ region }) => {
  const root = new Root();
  const first = { goalKeys: [], membershipKeys: [region.membership.publicKey] };
  const both = new TrustedKeys({ first, rootKeys: [root.publicKey] }).memberships;
  assert.is(both.topicKeys.length, 2);
  const seeder = await region.join("region", { membershipPublicKey: both });
  const { digest } = await seed(seeder, 2);
  const olden = await region.join("host");
  const modern = await region.join("host", { membershipPublicKey: both });
  await Promise.all([fetchAll(olden, digest), fetchAll(modern, digest)]);
  await until(() => olden.swarm.stats.homeNeighbours === 1, "the two to meet");
});

test.run();
