import { generateKeyPairSync, type KeyObject } from "node:crypto";
import { readdir, readFile, rm, stat, writeFile } from "node:fs/promises";
import path from "node:path";
import { status } from "@grpc/grpc-js";
import {
  MembershipCertificate,
  MembershipServiceClient,
  Role,
  shortKeyId,
  unary,
} from "@slipway/proto";
import { credentials } from "@grpc/grpc-js";
import { suite } from "uvu";
import * as assert from "uvu/assert";
import { JoinError } from "../../src/membership/join-fleet.js";
import { openMember, type OpenMemberOptions } from "../../src/membership/open-member.js";
import { Renewer } from "../../src/membership/renewer.js";
import { GrantError } from "../../src/membership/take-grant.js";
import { renewalTime } from "../../src/membership/when-to-renew.js";
import {
  certificateExpiry,
  createIdentity,
  type Identity,
  type MemberRole,
} from "../../src/swarm/identity.js";
import { readMemberIdentity, writeIdentity } from "../../src/swarm/identity-file.js";
import { openTrust, type Trust } from "../../src/trust/open-trust.js";
import { TrustedKeys } from "../../src/trust/trusted-keys.js";
import { eventually, log, temporaryFolder } from "../host/fixtures.js";
import { Root } from "../trust/fixtures.js";
import { FakeMembers } from "./fake-members.js";

const test = suite("an agent that becomes a member");
let folder: string;
let remove: () => Promise<void>;
let coordinator: FakeMembers;
let options: OpenMemberOptions<"host">;

test.before.each(async () => {
  ({ folder, remove } = await temporaryFolder());
  coordinator = new FakeMembers();
  await coordinator.start();
  const joinTokenFile = path.join(folder, "token");
  await writeFile(joinTokenFile, "slipway_abc_def\n");
  options = {
    id: "web-1",
    region: "eu",
    role: "host",
    identityFile: path.join(folder, "identity.json"),
    joinTokenFile,
    coordinator: coordinator.address,
    trust: trustOf(coordinator.fleet.publicKey),
    log,
  };
});
test.after.each(async () => {
  coordinator.stop();
  await remove();
});

function trustOf(membershipKey: KeyObject): Trust {
  return { keys: TrustedKeys.fixed({ membershipKeys: [membershipKey] }), keySet: undefined };
}

/** The member's identity, after it has stopped. */
async function open<R extends MemberRole>(given: OpenMemberOptions<R>): Promise<Identity<R>> {
  const member = await openMember(given);
  await member.stop();
  await member.stop();
  return member.identity;
}
async function failure(promise: Promise<unknown>): Promise<Error> {
  try {
    await promise;
  } catch (error) {
    return error as Error;
  }
  throw new Error("it should have failed");
}
const files = async (): Promise<string[]> => (await readdir(folder)).sort();

test("joins with its token at its first start, and only then", async () => {
  const identity = await open(options);
  assert.equal(coordinator.tokens, ["Bearer slipway_abc_def"]);
  const [claim] = coordinator.joins;
  assert.is(claim?.role, Role.HOST);
  assert.ok(claim?.publicKey.equals(identity.publicKey));
  assert.is(identity.natsJwt, `jwt of ${claim?.natsPublicKey}`);
  assert.equal(await files(), ["identity.json", "token"]);
  assert.is((await stat(options.identityFile)).mode & 0o777, 0o600);
  assert.equal(await readMemberIdentity(options.identityFile), identity);
  assert.equal(await open({ ...options, joinTokenFile: undefined }), identity);
  assert.is(coordinator.joins.length, 1);
});

test("comes back with the same keys if it is killed, or the answer is lost", async () => {
  coordinator.lost = 1;
  await open(options);
  const [first, second] = coordinator.joins;
  assert.equal(first, second);
  // As if it had been killed before it wrote its identity down.
  await rm(options.identityFile);
  const killed = { ...options, trust: trustOf(generateKeyPairSync("ed25519").publicKey) };
  assert.instance(await failure(open(killed)), GrantError);
  assert.equal(await files(), ["identity.json.joining", "token"]);
  const identity = await open(options);
  assert.equal(coordinator.joins[2], coordinator.joins[3]);
  assert.not.equal(coordinator.joins[3], first);
  assert.ok(identity.publicKey.equals(coordinator.joins[3]?.publicKey ?? Buffer.alloc(0)));
  assert.equal(await files(), ["identity.json", "token"]);
});

test("waits for a coordinator that is away, and ends when it is refused, or told to", async () => {
  coordinator.refusals.push({ code: status.UNAVAILABLE, reason: "DOWN" });
  await open(options);
  assert.is(coordinator.joins.length, 1);
  await rm(options.identityFile);
  coordinator.refusals.push({ code: status.ALREADY_EXISTS, reason: "MEMBER_EXISTS" });
  const refused = await failure(open(options));
  assert.instance(refused, JoinError);
  assert.match(refused.message, /web-1 cannot join the fleet: MEMBER_EXISTS/);
  const stopping = new AbortController();
  coordinator.stop();
  const waiting = failure(open({ ...options, signal: stopping.signal }));
  stopping.abort(new Error("enough"));
  assert.is((await waiting).message, "enough");
});

test("says what is wrong with its token, its keys or its identity", async () => {
  const token = options.joinTokenFile ?? "";
  for (const text of ["", "two words", "x".repeat(5_000)]) {
    await writeFile(token, text);
    assert.match((await failure(open(options))).message, /holds no join token/);
  }
  await rm(token);
  assert.match((await failure(open(options))).message, /cannot be read: ENOENT/);
  await writeFile(`${options.identityFile}.joining`, "{}");
  assert.match((await failure(open(options))).message, /holds no keys: remove it/);
  const nowhere = { ...options, coordinator: undefined };
  assert.match((await failure(open(nowhere))).message, /needs --coordinator/);
  assert.is(coordinator.joins.length, 0);
  const without = { ...options, joinTokenFile: undefined };
  assert.match((await failure(open(without))).message, /ENOENT/);
});

test("takes no certificate but its own, of its fleet", async () => {
  const other = { id: "web-2", region: "us", role: Role.REGION, publicKey: Buffer.alloc(32, 1) };
  for (const [what, value] of Object.entries(other)) {
    coordinator.change = (grant) => {
      const claim = { ...coordinator.joins.at(-1), [what]: value } as never;
      const end = grant.expireTime ?? new Date(0);
      return { ...grant, certificate: coordinator.certificate(claim, end) };
    };
    assert.match((await failure(open(options))).message, /for another member/, what);
  }
  coordinator.change = (grant) => ({ ...grant, certificate: undefined });
  assert.match((await failure(open(options))).message, /no certificate/);
  coordinator.change = (grant) => ({ ...grant, expireTime: new Date(Date.now() + 9_000_000) });
  assert.match((await failure(open(options))).message, /does not end when it says/);
  coordinator.change = (grant) => {
    const forged = { payload: Buffer.from([0xff]), signature: Buffer.alloc(64) };
    return { ...grant, certificate: forged };
  };
  const blind = { ...options, trust: undefined };
  assert.match((await failure(open(blind))).message, /cannot be read/);
  assert.ok(!(await files()).includes("identity.json"));
});

test("a builder joins without a region; an identity for something else is refused", async () => {
  const builder = { ...options, role: "builder" as const, region: "", id: "b1" };
  const identity = await open({ ...builder, trust: undefined });
  assert.is(coordinator.joins[0]?.role, Role.BUILDER);
  assert.is(coordinator.joins[0]?.region, "");
  assert.equal(await readMemberIdentity(options.identityFile), identity);
  assert.match(
    (await failure(open(options))).message,
    /is for builder b1, not for host web-1 of region eu/,
  );
});

/** An agent that was told a root key, and no other. */
async function rooted(): Promise<{ root: Root; trust: Trust; goal: KeyObject[] }> {
  const root = new Root();
  const file = path.join(folder, "root.pub");
  await writeFile(file, root.pem);
  const files = { dataDir: folder, rootPublicKeyFiles: [file], goalPublicKeyFiles: [] };
  const trust = await openTrust(files, log);
  return { root, trust, goal: [generateKeyPairSync("ed25519").publicKey] };
}

test("a key set comes with the answer, which is checked by it, and is kept", async () => {
  const { root, trust, goal } = await rooted();
  assert.instance(await failure(open({ ...options, trust })), GrantError);
  const other = new Root().set(1, { goal, membership: [coordinator.fleet.publicKey] });
  coordinator.change = (grant) => ({ ...grant, keySet: other });
  assert.instance(await failure(open({ ...options, trust })), GrantError);
  const keySet = root.set(1, { goal, membership: [coordinator.fleet.publicKey] });
  coordinator.change = (grant) => ({ ...grant, keySet });
  await open({ ...options, trust });
  await trust.keySet?.stop();
  assert.ok(keySet.equals(await readFile(path.join(folder, "key-set"))));
});

test("a certificate whose key holds no more is renewed at once", async () => {
  const { root, trust, goal } = await rooted();
  const before = coordinator.fleet;
  const both = [before.publicKey, coordinator.next.publicKey];
  coordinator.change = (grant) => ({ ...grant, keySet: root.set(1, { goal, membership: both }) });
  const identity = await open({ ...options, trust });
  const client = new MembershipServiceClient(coordinator.address, credentials.createInsecure());
  const { identityFile } = options;
  const retry = { baseMs: 10, maxMs: 20 };
  const renewed: Identity[] = [];
  const made = new Renewer({
    client,
    identity,
    identityFile,
    trust,
    log,
    retry,
    lookMs: 10,
    onRenewed: (one) => renewed.push(one),
  });
  made.start();
  coordinator.change = (grant) => grant;
  trust.keySet?.offer(root.set(2, { goal, membership: [coordinator.next.publicKey] }), "test");
  // The coordinator still signs with the key that is gone.
  await eventually("refused grants", () => made.stats.failed > 1);
  assert.is(renewed.length, 0);
  coordinator.fleet = coordinator.next;
  await eventually("a renewal", () => renewed.length > 0);
  await made.stop();
  client.close();
  assert.is(renewed.length, 1);
  const certificate = MembershipCertificate.decode(renewed[0]?.certificate ?? Buffer.alloc(0));
  assert.is(trust.keys.memberships.signer(certificate), shortKeyId(coordinator.next.publicKey));
});

test("an identity that was made by hand is left as it is", async () => {
  const identity = createIdentity({
    id: "web-1",
    region: "eu",
    role: "host",
    membershipKey: coordinator.fleet.privateKey,
    expireTime: new Date(Date.now() + 1_000),
  });
  await writeIdentity(options.identityFile, identity);
  const written = await readFile(options.identityFile);
  const member = await openMember(options);
  member.start();
  assert.equal(member.identity, identity);
  await member.stop();
  assert.is(coordinator.joins.length + coordinator.renewals.length, 0);
  assert.ok(written.equals(await readFile(options.identityFile)));
});

test("renews in time, keeps what it got, and tells", async () => {
  coordinator.skewMs = -1_800_000;
  coordinator.validForMs = 1_000;
  const member = await openMember(options);
  const first = member.identity;
  const renewed: Identity[] = [];
  member.onRenewed((identity) => renewed.push(identity));
  member.start();
  await eventually("a renewal", () => renewed.length > 1);
  await member.stop();
  const last = renewed.at(-1);
  assert.ok(last !== undefined && certificateExpiry(last) > certificateExpiry(first));
  assert.equal(member.identity, last);
  assert.ok(last.secretKey.equals(first.secretKey));
  assert.is(last.natsSeed, first.natsSeed);
  assert.equal(await readMemberIdentity(options.identityFile), last);
  // By the coordinator's clock, not by its own.
  const said = coordinator.renewals[0]?.time?.getTime() ?? 0;
  assert.ok(Math.abs(said - (Date.now() - 1_800_000)) < 60_000);
  assert.equal(member.stats.failed, 0);
});

/** A renewer of what has just joined, that is due, and looks all the time. */
async function renewer(joinTokenFile?: string): Promise<Renewer<"host">> {
  coordinator.validForMs = 500;
  const identity = await open(options);
  const client = new MembershipServiceClient(coordinator.address, credentials.createInsecure());
  const { identityFile, trust } = options;
  const retry = { baseMs: 10, maxMs: 20 };
  const common = { client, identity, identityFile, trust, joinTokenFile, log, retry, lookMs: 10 };
  return new Renewer({ ...common, onRenewed: () => (coordinator.validForMs = 3_600_000) });
}

test("tries until a coordinator renews it, also after its certificate's end", async () => {
  const made = await renewer();
  const refusals = [
    { code: status.UNAVAILABLE, reason: "DOWN" },
    { code: status.FAILED_PRECONDITION, reason: "NO_MEMBERSHIP_KEY" },
    { code: status.UNAUTHENTICATED, reason: "NOT_THAT_MEMBER" },
  ];
  coordinator.refusals.push(...refusals);
  coordinator.lost = 1;
  made.start();
  await eventually("the renewal", () => made.stats.renewed === 1);
  assert.is(made.stats.failed, 4);
  await made.stop();
  await made.stop();
});

test("whom coordinators have lost joins again with its keys, once there is a token", async () => {
  const made = await renewer(options.joinTokenFile);
  const before = await readMemberIdentity(options.identityFile);
  await rm(options.joinTokenFile ?? "");
  coordinator.forget();
  made.start();
  await eventually("renewals in vain", () => made.stats.failed >= 2);
  assert.is(coordinator.joins.length, 1);
  await writeFile(options.joinTokenFile ?? "", "slipway_other_token\n");
  await eventually("the certificate", () => made.stats.renewed === 1);
  await made.stop();
  const [first, again] = coordinator.joins;
  assert.equal(again, first, "it is the same member");
  assert.is(coordinator.tokens.at(-1), "Bearer slipway_other_token");
  const after = await readMemberIdentity(options.identityFile);
  assert.ok(after.secretKey.equals(before.secretKey));
  assert.is(after.natsSeed, before.natsSeed);
  assert.ok(certificateExpiry(after) > certificateExpiry(before));
});

test("a clock that is far ahead does not have it renew all the time", async () => {
  const made = await renewer();
  coordinator.skewMs = -30 * 24 * 3_600_000;
  coordinator.validForMs = 3_600_000;
  made.start();
  await eventually("the renewal", () => made.stats.renewed > 0);
  // Whoever renews all the time has done so again before the coordinator has answered all of these.
  const other = new MembershipServiceClient(coordinator.address, credentials.createInsecure());
  for (let asked = 0; asked < 50; asked += 1)
    await unary(other, "getTime", {}, { timeoutMs: 5_000 });
  other.close();
  await made.stop();
  assert.is(coordinator.renewals.length, 1);
});

test("asks no more once it is revoked", async () => {
  const made = await renewer();
  coordinator.refusals.push({ code: status.PERMISSION_DENIED, reason: "MEMBER_REVOKED" });
  const before = await readFile(options.identityFile);
  made.start();
  await eventually("the refusal", () => made.stats.failed === 1);
  await made.stop();
  assert.is(coordinator.renewals.length, 0);
  assert.ok(before.equals(await readFile(options.identityFile)));
});

test("a certificate of another key is not taken when renewing either", async () => {
  const made = await renewer();
  const before = await readFile(options.identityFile);
  coordinator.change = (grant) => {
    const claim = { ...coordinator.joins[0], publicKey: Buffer.alloc(32, 7) } as never;
    return { ...grant, certificate: coordinator.certificate(claim, grant.expireTime as Date) };
  };
  assert.instance(await failure(made.renew()), GrantError);
  assert.ok(before.equals(await readFile(options.identityFile)));
  MembershipCertificate.decode((await readMemberIdentity(options.identityFile)).certificate);
  await made.stop();
});

test("is due with a third to two fifths of its life left", () => {
  const life = { issueTime: new Date(1_000), expireTime: new Date(31_000) };
  assert.is(renewalTime(life, 0), 19_000);
  assert.is(renewalTime(life, 1), 21_000);
  assert.is(renewalTime({ issueTime: life.expireTime, expireTime: life.issueTime }, 0.5), 31_000);
});

test.run();
