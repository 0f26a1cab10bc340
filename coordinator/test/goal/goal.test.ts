import { generateKeyPairSync } from "node:crypto";
import { Goal, Release, SignedGoal, ApplicationGoal } from "@slipway/proto";
import { test } from "uvu";
import * as assert from "uvu/assert";
import {
  applicationGoalOf,
  goalBytes,
  GOAL_VALIDITY_MS,
  type GoalSource,
} from "../../src/goal/goal.js";
import { shortKeyId } from "@slipway/proto";
import { createKeySigner } from "../../src/keys/signer.js";
import { createGoalSigner, openSignedGoal } from "../../src/goal/signing.js";

const keys = generateKeyPairSync("ed25519");
const pem = keys.privateKey.export({ type: "pkcs8", format: "pem" });
const signer = createGoalSigner(createKeySigner(String(pem), "goal"));
const now = new Date("2030-01-01T00:00:00Z");

const source: GoalSource = {
  application: "web",
  generation: 7,
  deploymentId: "d7",
  regions: ["eu", "us"],
  selector: { tier: "front" },
  run: Release.fromPartial({ buildId: "b2", artifactDigest: "sha256:22", applicationRevision: 3 }),
  previous: Release.fromPartial({ buildId: "b1", artifactDigest: "sha256:11" }),
  previousGeneration: 6,
  limits: { eu: 0, us: 2_500 },
  removedRegions: [],
  holds: false,
};

test("a goal carries what the deployment says, for its region, and can be verified", async () => {
  const goal = await applicationGoalOf(source, signer, now);
  assert.equal(Object.keys(goal.regions), ["eu", "us"]);
  assert.is(goal.generation, 7);
  const signed = goal.regions["us"] ?? SignedGoal.fromPartial({});
  const opened = openSignedGoal(signed, keys.publicKey);
  assert.equal(
    opened,
    Goal.fromPartial({
      application: "web",
      region: "us",
      generation: 7,
      issueTime: now,
      deploymentId: "d7",
      selector: { tier: "front" },
      run: source.run,
      previous: { buildId: "b1", artifactDigest: "sha256:11" },
      previousGeneration: 6,
      bucketLimit: 2_500,
      removed: false,
      expireTime: new Date(now.getTime() + GOAL_VALIDITY_MS),
    }),
  );
});

const part = (goal: ApplicationGoal, region: string): SignedGoal => {
  const signed = goal.regions[region];
  if (signed === undefined) throw new Error(`no goal for ${region}`);
  return signed;
};

test("how large the bucket's value gets is known before, and not too low", async () => {
  const { length } = ApplicationGoal.encode(await applicationGoalOf(source, signer, now)).finish();
  const estimate = goalBytes(source);
  assert.ok(estimate >= length && estimate < length + 600, `${estimate} for ${length}`);
});

test("another key, other bytes or a missing context do not verify", async () => {
  const signed = part(await applicationGoalOf(source, signer, now), "eu");
  const other = generateKeyPairSync("ed25519").publicKey;
  assert.is(openSignedGoal(signed, other), undefined);
  const payload = Buffer.from(signed.payload);
  payload.writeUInt8(payload.readUInt8(payload.length - 1) ^ 1, payload.length - 1);
  assert.is(openSignedGoal({ ...signed, payload }, keys.publicKey), undefined);
});

test("a key is named by the start of the hash of its raw bytes", () => {
  assert.match(signer.keyId, /^[0-9a-f]{16}$/);
  assert.is(shortKeyId(keys.publicKey), signer.keyId);
});

test("what is not an Ed25519 private key is refused", () => {
  assert.throws(() => createKeySigner("nonsense", "goal"), /not a private key in PEM/);
  const { privateKey } = generateKeyPairSync("ec", { namedCurve: "P-256" });
  const text = String(privateKey.export({ type: "pkcs8", format: "pem" }));
  assert.throws(() => createKeySigner(text, "goal"), /must be an Ed25519 key, not ec/);
});

test.run();
