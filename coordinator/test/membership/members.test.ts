import { createPublicKey, verify, type KeyObject } from "node:crypto";
import { mkdtemp, readFile, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import path from "node:path";
import { credentials, status } from "@grpc/grpc-js";
import {
  BuilderServiceClient,
  GLOBAL_GOALS_BUCKET,
  JOIN_SIGNATURE_CONTEXT,
  type MemberGrant,
  Membership,
  MEMBERSHIP_SIGNATURE_CONTEXT,
  MembershipServiceClient,
  RevocationList,
  REVOCATIONS_KEY,
  Role,
  SignedRevocationList,
} from "@slipway/proto";
import { suite } from "uvu";
import * as assert from "uvu/assert";
import { generateKey } from "../../src/keygen.js";
import { call } from "../call.js";
import { TestBuilder } from "../fleet.js";
import { failure, startWorld, until, type Clients, type World } from "../rollout/world.js";
import { TestMember } from "./test-member.js";

const test = suite("members");
const DAY_MS = 24 * 3_600_000;
let folder: string;
let world: World;
let clients: Clients;
let members: MembershipServiceClient;
let builders: BuilderServiceClient;
let membershipKey: KeyObject;

test.before(async () => {
  folder = await mkdtemp(path.join(tmpdir(), "slipway-members-"));
  const membershipKeyFile = path.join(folder, "membership.key");
  await generateKey(membershipKeyFile);
  membershipKey = createPublicKey(await readFile(`${membershipKeyFile}.pub`));
  world = await startWorld();
  const options = { membershipKeyFile, projectionIntervalMs: 100 };
  const coordinator = await world.coordinator(options);
  ({ clients } = coordinator);
  members = new MembershipServiceClient(coordinator.address, credentials.createInsecure());
  builders = new BuilderServiceClient(coordinator.address, credentials.createInsecure());
});
test.after(async () => {
  members?.close();
  builders?.close();
  await world?.stop();
  await rm(folder, { recursive: true, force: true });
});

async function join(member: TestMember): Promise<MemberGrant> {
  const { grant } = await call(members, "join", member.joins());
  assert.ok(grant);
  return grant;
}
async function renew(member: TestMember): Promise<MemberGrant> {
  const { time } = await call(members, "getTime", {});
  const { grant } = await call(members, "renew", member.renews(time));
  assert.ok(grant);
  return grant;
}
/** What the certificate says, if the membership key signed it. */
function certified({ certificate }: MemberGrant): Membership {
  assert.ok(certificate);
  const message = Buffer.concat([Buffer.from(MEMBERSHIP_SIGNATURE_CONTEXT), certificate.payload]);
  assert.ok(verify(null, message, membershipKey, certificate.signature));
  return Membership.decode(certificate.payload);
}
async function refusal(promise: Promise<unknown>): Promise<[string | undefined, string]> {
  const { code, reason } = await failure(promise);
  return [reason, status[code] ?? ""];
}
const row = (id: string): Promise<Record<string, unknown>> =>
  world.db("members").where({ id }).first();
const actions = async (id: string): Promise<string[]> => {
  const rows: { action: string }[] = await world
    .db("audit_entries")
    .where({ host_id: id })
    .orderBy("id");
  return rows.map(({ action }) => action);
};
const author = { actor: "ada", reason: "lost" };
const revoke = (id: string, allowMissing = false): Promise<unknown> =>
  call(members, "revokeMember", { id, ...author, allowMissing });
const release = (id: string): Promise<unknown> => call(members, "releaseMember", { id, ...author });

test("an agent of each role joins, and gets a certificate for its key", async () => {
  for (const [id, role] of [
    ["web-1", Role.HOST],
    ["eu-a", Role.REGION],
    ["b1", Role.BUILDER],
  ] as const) {
    const member = new TestMember(id, role);
    const before = Date.now();
    const grant = await join(member);
    const { publicKey, expireTime, ...rest } = certified(grant);
    assert.equal(rest, { id, role, region: member.region });
    assert.ok(member.publicKey.equals(publicKey));
    const days = ((expireTime?.getTime() ?? 0) - before) / DAY_MS;
    assert.ok(days >= 7 && days < 7.01, "a week by default");
    assert.equal(grant.expireTime, expireTime);
    assert.equal(await actions(id), ["member.join"]);
  }
  const { members: listed } = await call(members, "listMembers", {
    region: "eu",
    role: Role.REGION,
    pageSize: 1,
    pageToken: "",
  });
  assert.equal(
    listed.map(({ id, role, revokeTime }) => [id, role, revokeTime]),
    [["eu-a", Role.REGION, undefined]],
  );
});

test("pages of members hold each once", async () => {
  const seen: string[] = [];
  let pageToken = "";
  do {
    const page = { region: "", role: Role.UNSPECIFIED, pageSize: 1, pageToken };
    const answer = await call(members, "listMembers", page);
    seen.push(...answer.members.map(({ id }) => id));
    pageToken = answer.nextPageToken;
  } while (pageToken !== "");
  assert.equal(seen, ["b1", "eu-a", "web-1"]);
});

test("the same keys may join again; others only after a release", async () => {
  const first = new TestMember("web-2");
  const second = new TestMember("web-2");
  await join(first);
  await join(first);
  assert.equal(await actions("web-2"), ["member.join"]);
  assert.equal(await refusal(join(second)), ["MEMBER_EXISTS", "ALREADY_EXISTS"]);
  assert.ok(first.publicKey.equals((await row("web-2"))["public_key"] as Buffer));
  await release("web-2");
  await release("web-2");
  await renew(first);
  assert.ok(second.publicKey.equals(certified(await join(second)).publicKey));
  assert.equal(await actions("web-2"), ["member.join", "member.release", "member.rejoin"]);
  assert.equal(await refusal(renew(first)), ["NOT_THAT_MEMBER", "UNAUTHENTICATED"]);
  assert.equal(await refusal(join(first)), ["MEMBER_EXISTS", "ALREADY_EXISTS"], "released once");
  assert.equal(await refusal(release("nobody")), ["MEMBER_NOT_FOUND", "NOT_FOUND"]);
});

test("one of two that join at once under one id gets it", async () => {
  const rivals = Array.from({ length: 4 }, () => new TestMember("web-3"));
  const results = await Promise.allSettled(rivals.map(join));
  assert.is(results.filter(({ status }) => status === "fulfilled").length, 1);
});

test("a key is that of one member", async () => {
  const member = new TestMember("web-4");
  await join(member);
  const claim = { id: "web-5" };
  const again = call(members, "join", member.joins({ claim }));
  assert.equal(await refusal(again), ["KEY_TAKEN", "ALREADY_EXISTS"]);
  assert.is(await row("web-5"), undefined);
});

test("claims that make no sense, or that their keys did not sign, change nothing", async () => {
  const member = new TestMember("web-6");
  const other = new TestMember("web-6");
  const good = member.joins();
  const requests = {
    "an id that is none": member.joins({ claim: { id: "../x" } }),
    "no role": member.joins({ claim: { role: Role.UNSPECIFIED } }),
    "an unknown role": member.joins({ claim: { role: 9 as Role } }),
    "a host without region": member.joins({ claim: { region: "" } }),
    "a builder with a region": member.joins({ claim: { role: Role.BUILDER } }),
    "a short key": member.joins({ claim: { publicKey: Buffer.alloc(31) } }),
    "somebody else's key": member.joins({ claim: { publicKey: other.publicKey } }),
    "somebody else's NATS key": member.joins({
      claim: { natsPublicKey: other.claim().natsPublicKey },
    }),
    "a NATS key with a wrong checksum": member.joins({
      claim: { natsPublicKey: `U${"A".repeat(55)}` },
    }),
    "a signature of another length": { ...good, signature: Buffer.alloc(3) },
    "the signature of a renewal": {
      ...good,
      signature: member.renews(new Date(), JOIN_SIGNATURE_CONTEXT).signature,
    },
    "no claim": { ...good, claim: Buffer.alloc(0) },
    "bytes that are none": { ...good, claim: Buffer.from([0xff]) },
    "a large claim": member.joins({ claim: { id: "x".repeat(2_000) } }),
  };
  for (const [what, request] of Object.entries(requests)) {
    const { code } = await failure(call(members, "join", request));
    assert.is(code, status.INVALID_ARGUMENT, what);
  }
  assert.is(await row("web-6"), undefined);
});

test("a member renews by its key, once a moment", async () => {
  const member = new TestMember("web-7");
  const { expireTime: first } = await join(member);
  const { time = new Date(0) } = await call(members, "getTime", {});
  const request = member.renews(time);
  const { grant } = await call(members, "renew", request);
  assert.ok(grant && first && grant.expireTime && grant.expireTime > first);
  certified(grant);
  assert.equal(await refusal(call(members, "renew", request)), ["RENEWED_MEANWHILE", "ABORTED"]);
  const at = (ms: number) => call(members, "renew", member.renews(new Date(time.getTime() + ms)));
  for (const ms of [-3 * 60_000, 3 * 60_000]) {
    assert.equal(await refusal(at(ms)), ["TIME_DIFFERS", "FAILED_PRECONDITION"]);
  }
  const wrong = ["NOT_THAT_MEMBER", "UNAUTHENTICATED"];
  assert.equal(await refusal(renew(new TestMember("web-7"))), wrong);
  assert.equal(await refusal(renew(new TestMember("nobody"))), wrong);
  const otherContext = member.renews(new Date(), JOIN_SIGNATURE_CONTEXT);
  assert.equal(await refusal(call(members, "renew", otherContext)), wrong);
  assert.is((await failure(call(members, "renew", member.renews(undefined)))).code, 3);
});

const expire = (id: string, days: number): Promise<unknown> =>
  world
    .db("members")
    .where({ id })
    .update({ expire_time: new Date(Date.now() - days * DAY_MS) });

test("a member renews for 30 days after its end, and then is to join again", async () => {
  const member = new TestMember("web-8");
  await join(member);
  await expire("web-8", 29);
  await renew(member);
  await expire("web-8", 31);
  assert.equal(await refusal(renew(member)), ["MEMBER_EXPIRED", "FAILED_PRECONDITION"]);
  await join(member);
  await renew(member);
});

/** Who the list in the bucket revokes. */
async function revoked(): Promise<string[]> {
  const kv = await world.nats.jetstream().views.kv(GLOBAL_GOALS_BUCKET);
  const entry = await kv.get(REVOCATIONS_KEY);
  if (entry === null) return [];
  return RevocationList.decode(SignedRevocationList.decode(entry.value).payload).hostIds;
}
const publishes = (...ids: string[]): Promise<boolean> =>
  until(`${ids.join()} in the list`, async () => {
    const list = await revoked();
    return ids.every((id) => list.includes(id));
  });

test("a revoked member of any role is out for good, and in the list", async () => {
  for (const [id, role] of [
    ["web-9", Role.HOST],
    ["us-a", Role.REGION],
    ["b9", Role.BUILDER],
  ] as const) {
    const member = new TestMember(id, role);
    await join(member);
    await revoke(id);
    await revoke(id);
    assert.equal(await actions(id), ["member.join", "member.revoke"]);
    const other = new TestMember(id, role);
    for (const attempt of [() => renew(member), () => join(member), () => join(other)]) {
      assert.equal(await refusal(attempt()), ["MEMBER_REVOKED", "PERMISSION_DENIED"]);
    }
    assert.equal(await refusal(release(id)), ["MEMBER_REVOKED", "FAILED_PRECONDITION"]);
  }
  await publishes("web-9", "us-a", "b9");
});

test("an id that never joined is revoked only if that is said", async () => {
  assert.equal(await refusal(revoke("by-hand")), ["MEMBER_NOT_FOUND", "NOT_FOUND"]);
  await revoke("by-hand", true);
  await publishes("by-hand");
  const attempt = join(new TestMember("by-hand"));
  assert.equal(await refusal(attempt), ["MEMBER_REVOKED", "PERMISSION_DENIED"]);
});

test("to revoke a host is to decommission it, and the other way round", async () => {
  const hosts = ["web-10", "web-11", "web-12"].map((hostId) => ({
    hostId,
    region: "eu",
    cell: "",
    labels: {},
  }));
  await call(clients.fleet, "enrolHosts", { hosts });
  const [first, second] = [new TestMember("web-10"), new TestMember("web-11")];
  await join(first);
  await join(second);
  await revoke("web-10");
  await call(clients.fleet, "decommissionHost", { hostId: "web-11", ...author });
  // Its identity was made by hand.
  await revoke("web-12");
  for (const member of [first, second]) {
    assert.equal(await refusal(renew(member)), ["MEMBER_REVOKED", "PERMISSION_DENIED"]);
  }
  const enrolled = await call(clients.fleet, "enrolHosts", { hosts });
  assert.equal(enrolled.decommissionedHostIds, ["web-10", "web-11", "web-12"]);
  assert.equal(await actions("web-11"), ["member.join", "host.decommission"]);
  await publishes("web-10", "web-11", "web-12");
});

test("a host that an older coordinator has decommissioned cannot join or renew", async () => {
  const member = new TestMember("web-13");
  await join(member);
  await call(clients.fleet, "enrolHosts", {
    hosts: [{ hostId: "web-13", region: "eu", cell: "", labels: {} }],
  });
  await world
    .db("hosts")
    .where({ host_id: "web-13" })
    .update({ decommission_time: world.db.fn.now() });
  for (const attempt of [() => renew(member), () => join(member)]) {
    assert.equal(await refusal(attempt()), ["MEMBER_REVOKED", "PERMISSION_DENIED"]);
  }
});

test("a coordinator without a membership key says so, and still revokes", async () => {
  const { address } = await world.coordinator();
  const client = new MembershipServiceClient(address, credentials.createInsecure());
  const member = new TestMember("web-14");
  const attempt = call(client, "join", member.joins());
  assert.equal(await refusal(attempt), ["NO_MEMBERSHIP_KEY", "FAILED_PRECONDITION"]);
  await call(client, "revokeMember", { id: "web-14", ...author, allowMissing: true });
  client.close();
});

test("a builder is shut out by its own revocation, and not by that of a host of its id", async () => {
  for (const [id, role, end] of [
    ["twin", Role.HOST, undefined],
    ["its-own", Role.BUILDER, status.PERMISSION_DENIED],
  ] as const) {
    await join(new TestMember(id, role));
    await revoke(id);
    const builder = new TestBuilder(builders);
    builder.say({
      $case: "hello",
      value: {
        builderId: id,
        platform: "linux/x64",
        signsProvenance: false,
        process: undefined,
        takesSeveral: false,
      },
    });
    builder.end();
    const error = (await builder.ended()) as { code?: status } | undefined;
    assert.is(error?.code, end);
    assert.is(builder.unheard.length, end === undefined ? 1 : 0, "welcome or not");
  }
});

test.run();
