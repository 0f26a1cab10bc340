import { test } from "uvu";
import * as assert from "uvu/assert";
import {
  Goal,
  GoalDigest,
  RevocationList,
  SignedGoal,
  SignedRevocationList,
} from "../gen/slipway/v1/goal.js";
import { KeySet, SignedKeySet } from "../gen/slipway/v1/key_set.js";
import { HostPhase, HostStatus } from "../gen/slipway/v1/status.js";
import { SignedProvenance } from "../gen/slipway/v1/provenance.js";
import { Membership, Role } from "../gen/slipway/v1/swarm.js";

// These bytes are signed, kept in buckets, or read by agents of other versions: changing a field's
// number or type is something that a running fleet does not survive.

const hex = (bytes: Uint8Array): string => Buffer.from(bytes).toString("hex");
const time = new Date("2026-01-02T03:04:05.006Z");
const TIME = "08a5ebdcca0610809bee02";

test("a goal", () => {
  const goal = Goal.fromPartial({
    application: "shop",
    region: "eu",
    generation: 7,
    issueTime: time,
    deploymentId: "d1",
    selector: { tier: "web" },
    run: { buildId: "b1", artifactDigest: "sha256:00", run: { command: ["./shop"] } },
    expireTime: time,
    bucketLimit: 10_000,
  });
  const bytes =
    `0a0473686f70120265751807220b${TIME}2a026431320b0a047469657212037765623a190a026231` +
    `1a097368613235363a303032080a062e2f73686f70520b${TIME}58904e`;
  assert.is(hex(Goal.encode(goal).finish()), bytes);
  assert.equal(Goal.decode(Buffer.from(bytes, "hex")), goal);
});

test("the goal of an application that was removed", () => {
  const goal = Goal.fromPartial({
    application: "shop",
    region: "eu",
    generation: 8,
    removed: true,
  });
  assert.is(hex(Goal.encode(goal).finish()), "0a0473686f701202657518086001");
});

test("a signed goal", () => {
  const signed = { payload: Buffer.from([1, 2]), signature: Buffer.from([3]), keyId: "k" };
  assert.is(hex(SignedGoal.encode(signed).finish()), "0a0201021201031a016b");
});

test("a digest of goals", () => {
  const version = {
    application: "shop",
    generation: 7,
    issueTime: time,
    selector: { tier: "web" },
    removed: false,
  };
  assert.is(
    hex(GoalDigest.encode({ goals: [version], revocationsVersion: 0, keySetVersion: 0 }).finish()),
    `0a220a0473686f7010071a0b${TIME}220b0a04746965721203776562`,
  );
  const digest = GoalDigest.fromPartial({ revocationsVersion: 300, keySetVersion: 301 });
  assert.is(hex(GoalDigest.encode(digest).finish()), "10ac0218ad02");
});

test("a list of revocations, and what signs it", () => {
  const list = { version: 300, issueTime: time, hostIds: ["h1", "h2"] };
  assert.is(hex(RevocationList.encode(list).finish()), `08ac02120b${TIME}1a0268311a026832`);
  const signed = { payload: Buffer.from([1, 2]), signature: Buffer.from([3]), keyId: "k" };
  assert.is(hex(SignedRevocationList.encode(signed).finish()), "0a0201021201031a016b");
});

test("a key set, and what signs it", () => {
  const set = {
    version: 300,
    issueTime: time,
    goalKeys: [{ publicKey: Buffer.from([1]), notAfter: time }],
    membershipKeys: [{ publicKey: Buffer.from([2]), notAfter: undefined }],
    revokedKeyIds: ["k"],
  };
  assert.is(
    hex(KeySet.encode(set).finish()),
    `08ac02120b${TIME}1a100a0101120b${TIME}22030a01022a016b`,
  );
  const signatures = [{ signature: Buffer.from([3]), keyId: "k" }];
  const signed = { payload: Buffer.from([1, 2]), signatures };
  assert.is(hex(SignedKeySet.encode(signed).finish()), "0a02010212060a010312016b");
});

test("a membership", () => {
  const publicKey = Buffer.alloc(2, 9);
  const membership = { publicKey, id: "h1", region: "eu", role: Role.HOST, expireTime: time };
  assert.is(hex(Membership.encode(membership).finish()), `0a020909120268311a02657520012a0b${TIME}`);
});

test("a host's status", () => {
  const application = {
    application: "shop",
    generation: 7,
    phase: HostPhase.RUNNING,
    bytesFromPeers: 300,
  };
  const status = { hostId: "h1", region: "eu", time, applications: [application] };
  assert.is(
    hex(HostStatus.encode(HostStatus.fromPartial(status)).finish()),
    `0a02683112026575320b${TIME}4a0d0a0473686f701007180550ac02`,
  );
});

test("what a builder signed of a build, as it is kept", () => {
  const certificate = { payload: Buffer.from("p"), signature: Buffer.from("s") };
  const provenance = { envelope: Buffer.from("{}"), certificate };
  const bytes = "0a027b7d12060a0170120173";
  assert.is(hex(SignedProvenance.encode(provenance).finish()), bytes);
  assert.equal(SignedProvenance.decode(Buffer.from(bytes, "hex")), provenance);
});

test.run();
