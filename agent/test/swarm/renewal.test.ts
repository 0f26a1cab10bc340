import { sign } from "node:crypto";
import {
  Membership,
  MEMBERSHIP_SIGNATURE_CONTEXT,
  MembershipCertificate,
  Role,
} from "@slipway/proto";
import { suite } from "uvu";
import * as assert from "uvu/assert";
import type { Identity } from "../../src/swarm/identity.js";
import { Region, fetchAll, seed, until } from "./fixtures.js";

const test = suite<{ region: Region }>("renewed certificates");

test.before.each((context) => {
  context.region = new Region();
});
test.after.each(({ region }) => region.close());

/** The identity's next certificate, or one that says something else. */
function renewed(region: Region, identity: Identity, change: Partial<Membership> = {}): Buffer {
  const before = MembershipCertificate.decode(identity.certificate);
  const expireTime = new Date(Date.now() + 3_600_000);
  const said = { ...Membership.decode(before.payload), expireTime, ...change };
  const payload = Buffer.from(Membership.encode(said).finish());
  const message = Buffer.concat([Buffer.from(MEMBERSHIP_SIGNATURE_CONTEXT), payload]);
  const signature = sign(null, message, region.membership.privateKey);
  return Buffer.from(MembershipCertificate.encode({ payload, signature }).finish());
}

test("keep connections over the end of the first one; without they end", async ({ region }) => {
  const seeder = await region.join("region");
  const { digest } = await seed(seeder, 2);
  const soon = new Date(Date.now() + 4_000);
  const renews = await region.join("host", { identity: region.identity("renews", "host", soon) });
  const expires = await region.join("host", { identity: region.identity("expires", "host", soon) });
  for (const member of [renews, expires]) {
    await until(() => member.swarm.stats.seederNeighbours === 1, "the seeder");
  }
  renews.swarm.setCertificate(renewed(region, renews.identity));
  await until(() => expires.swarm.stats.neighbours === 0, "the other's end", 15_000);
  assert.ok(Date.now() >= soon.getTime());
  assert.is(renews.swarm.stats.seederNeighbours, 1);
  assert.ok(seeder.swarm.stats.membershipRefusals >= 1);
  // Also to those who have not known the first one.
  const later = await region.join("host");
  await until(() => later.swarm.stats.homeNeighbours === 1, "a later one");
  await fetchAll(renews, digest);
  // And what was renewed too late lets in again.
  expires.swarm.setCertificate(renewed(region, expires.identity));
  await until(() => expires.swarm.stats.seederNeighbours === 1, "it to be back", 30_000);
});

for (const [what, change] of Object.entries<Partial<Membership>>({
  "another id": { id: "boss" },
  "another role": { role: Role.REGION },
  "another region": { region: "us" },
  "another key": { publicKey: Buffer.alloc(32, 1) },
  "a time that is over": { expireTime: new Date(0) },
})) {
  test(`are not taken with ${what}`, async ({ region }) => {
    const seeder = await region.join("region");
    const member = await region.join("host");
    await until(() => seeder.swarm.stats.neighbours === 1, "the member");
    member.swarm.setCertificate(renewed(region, member.identity, change));
    await until(() => seeder.swarm.stats.membershipRefusals > 0, "a refusal");
  });
}

test("are not taken from another fleet", async ({ region }) => {
  const seeder = await region.join("region");
  const member = await region.join("host");
  await until(() => seeder.swarm.stats.neighbours === 1, "the member");
  const stranger = new Region();
  member.swarm.setCertificate(renewed(stranger, member.identity));
  await until(() => seeder.swarm.stats.membershipRefusals > 0, "a refusal");
});

test.run();
