import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import path from "node:path";
import { credentials } from "@grpc/grpc-js";
import { MembershipServiceClient, Role, unary } from "@slipway/proto";
import { suite } from "uvu";
import * as assert from "uvu/assert";
import { generateKey } from "../../src/keygen.js";
import { bearer, endingOf, makeToken } from "../auth/tokens.js";
import { startWorld, type World } from "../rollout/world.js";
import { TestMember } from "./test-member.js";

const test = suite("joining with tokens");
let folder: string;
let world: World;
let members: MembershipServiceClient;

test.before(async () => {
  folder = await mkdtemp(path.join(tmpdir(), "slipway-join-tokens-"));
  const membershipKeyFile = path.join(folder, "membership.key");
  await generateKey(membershipKeyFile);
  world = await startWorld();
  const { address } = await world.coordinator({ membershipKeyFile, authentication: "tokens" });
  members = new MembershipServiceClient(address, credentials.createInsecure());
});
test.after(async () => {
  members?.close();
  await world?.stop();
  await rm(folder, { recursive: true, force: true });
});

/** How it ended: the error's reason; empty if it went well. */
async function join(member: TestMember, token: string | undefined): Promise<string> {
  const options = { timeoutMs: 10_000, metadata: bearer(token) };
  return unary(members, "join", member.joins(), options).then(
    () => "",
    (error: unknown) => endingOf(error).reason,
  );
}
async function renew(member: TestMember): Promise<string> {
  const options = { timeoutMs: 10_000 };
  const { time } = await unary(members, "getTime", {}, options);
  return unary(members, "renew", member.renews(time), options).then(
    () => "",
    (error: unknown) => endingOf(error).reason,
  );
}
const usesOf = async (id: string): Promise<number> => {
  const row: { uses: number } = await world.db("tokens").where({ id }).first("uses");
  return row.uses;
};

test("takes a token of role enrol, and no other", async () => {
  const member = new TestMember("web-1");
  assert.is.not(await join(member, undefined), "");
  assert.is.not(await join(member, "slipway_no_token"), "");
  for (const role of ["viewer", "deployer", "admin", "builder", "region"] as const) {
    const { text } = await makeToken(world.db, role);
    assert.is.not(await join(member, text), "", role);
  }
  assert.is(await world.db("members").where({ id: "web-1" }).first(), undefined);
  const { id, text } = await makeToken(world.db, "enrol", { name: "rack 7" });
  assert.is(await join(member, text), "");
  const entry: Record<string, unknown> = await world
    .db("audit_entries")
    .where({ action: "member.join", host_id: "web-1" })
    .first();
  assert.equal([entry["actor"], entry["token_id"]], ["rack 7", id]);
  const row: Record<string, unknown> = await world.db("members").where({ id: "web-1" }).first();
  assert.is(row["token_id"], id);
  // From now on its key is enough.
  assert.is(await renew(member), "");
  assert.is(await renew(new TestMember("web-1")), "NOT_THAT_MEMBER");
});

test("a use is a member, however often it asks", async () => {
  const { id, text } = await makeToken(world.db, "enrol", { maxUses: 1 });
  const member = new TestMember("web-2");
  assert.is(await join(member, text), "");
  assert.is(await join(member, text), "", "its answer may have been lost");
  assert.is(await usesOf(id), 1);
  assert.is(await join(new TestMember("web-3"), text), "TOKEN_USED_UP");
  assert.is(await world.db("members").where({ id: "web-3" }).first(), undefined);
});

test("of two that join at once with a token for one, one does", async () => {
  const { id, text } = await makeToken(world.db, "enrol", { maxUses: 1 });
  const rivals = Array.from({ length: 4 }, (_, n) => new TestMember(`rival-${n}`));
  const reasons = await Promise.all(rivals.map((rival) => join(rival, text)));
  assert.equal(reasons.sort(), ["", ...Array.from({ length: 3 }, () => "TOKEN_USED_UP")]);
  assert.is(await usesOf(id), 1);
});

test("a refused member uses nothing up", async () => {
  const { id, text } = await makeToken(world.db, "enrol", { maxUses: 1 });
  assert.is(await join(new TestMember("web-2"), text), "MEMBER_EXISTS");
  assert.is(await usesOf(id), 0);
});

const of = async (terms: Parameters<typeof makeToken>[2]): Promise<string> =>
  (await makeToken(world.db, "enrol", terms)).text;

test("what may join is what the token says", async () => {
  const host = new TestMember("web-4");
  const region = new TestMember("eu-a", Role.REGION);
  const builder = new TestMember("b1", Role.BUILDER);
  const cases: [TestMember, string, string][] = [
    [region, await of({ memberRole: "HOST" }), "OUT_OF_SCOPE"],
    [builder, await of({ memberRole: "HOST" }), "OUT_OF_SCOPE"],
    [host, await of({ memberRole: "REGION" }), "OUT_OF_SCOPE"],
    [host, await of({ region: "us" }), "OUT_OF_SCOPE"],
    [host, await of({ subject: "web-5" }), "OUT_OF_SCOPE"],
    [host, await of({ region: "eu", subject: "web-4" }), ""],
    [region, await of({ memberRole: "REGION", region: "eu" }), ""],
    [builder, await of({ memberRole: "BUILDER" }), ""],
  ];
  for (const [index, [member, text, reason]] of cases.entries()) {
    assert.is(await join(member, text), reason, `case ${index}`);
  }
});

test("another key takes an id over only with a token that allows it", async () => {
  const [first, second] = [new TestMember("web-6"), new TestMember("web-6")];
  const { text } = await makeToken(world.db, "enrol");
  assert.is(await join(first, text), "");
  assert.is(await join(second, text), "MEMBER_EXISTS");
  const { text: allowing } = await makeToken(world.db, "enrol", { allowRejoin: true });
  assert.is(await join(second, allowing), "");
  assert.is(await renew(first), "NOT_THAT_MEMBER");
  assert.is(await renew(second), "");
});

test("only an admin revokes and releases", async () => {
  const request = { id: "web-6", actor: "somebody else", reason: "r" };
  for (const role of ["viewer", "deployer", "enrol", "region", "builder"] as const) {
    const options = { timeoutMs: 10_000, metadata: bearer((await makeToken(world.db, role)).text) };
    const revoking = unary(members, "revokeMember", { ...request, allowMissing: true }, options);
    assert.is(endingOf(await revoking.catch((e: unknown) => e)).code, "PERMISSION_DENIED", role);
    const releasing = unary(members, "releaseMember", request, options);
    assert.is(endingOf(await releasing.catch((e: unknown) => e)).code, "PERMISSION_DENIED", role);
  }
  const { text } = await makeToken(world.db, "admin", { name: "ada" });
  const options = { timeoutMs: 10_000, metadata: bearer(text) };
  await unary(members, "revokeMember", { ...request, allowMissing: false }, options);
  const entry: Record<string, unknown> = await world
    .db("audit_entries")
    .where({ action: "member.revoke" })
    .first();
  assert.equal([entry["actor"], entry["host_id"]], ["ada", "web-6"]);
});

test.run();
