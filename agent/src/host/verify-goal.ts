import { createHash, createPublicKey, verify, type KeyObject } from "node:crypto";
import {
  ARTIFACT_DIGEST_PATTERN,
  GOAL_SIGNATURE_CONTEXT,
  HOST_BUCKETS,
  Goal,
  NAME_PATTERN,
  SignedGoal,
  type Release,
} from "@slipway/proto";

/** Largest signed goal that is looked at: NATS' own bound for a message. */
const SIGNED_GOAL_MAX_BYTES = 1024 * 1024;

/** Keys that may sign goals, by key id. */
export type GoalKeys = ReadonlyMap<string, KeyObject>;

/** A goal whose signature and content were checked. */
export interface VerifiedGoal {
  goal: Goal;
  /** What to run: well-formed, and there unless the application was removed. */
  run: Release | undefined;
  /** The SignedGoal as received, to be kept. */
  signed: Buffer;
}

export class GoalRefusedError extends Error {
  override readonly name = "GoalRefusedError";
}

/** First 8 bytes of SHA-256 of the raw public key, in hexadecimal. */
export function goalKeyId(key: KeyObject): string {
  const raw = Buffer.from(key.export({ format: "jwk" }).x ?? "", "base64url");
  return createHash("sha256").update(raw).digest("hex").slice(0, 16);
}

/**
 * Reads public keys in SPKI PEM.
 * @throws Error for anything but an Ed25519 public key.
 */
export function readGoalKeys(pems: readonly (string | Buffer)[]): GoalKeys {
  const keys = new Map<string, KeyObject>();
  for (const pem of pems) {
    const key = createPublicKey(pem);
    if (key.asymmetricKeyType !== "ed25519") throw new Error("a goal key is not an Ed25519 key");
    keys.set(goalKeyId(key), key);
  }
  return keys;
}

/** Why none of the keys has signed this payload in this context; undefined if one has. */
export function signatureFault(
  what: string,
  { payload, signature, keyId }: SignedGoal,
  context: string,
  keys: GoalKeys,
): string | undefined {
  const key = keys.get(keyId);
  if (key === undefined) {
    return keyId === ""
      ? `the ${what} is not signed`
      : `no goal key has the id ${printable(keyId)}`;
  }
  const message = Buffer.concat([Buffer.from(context), payload]);
  return verify(null, message, key, signature) ? undefined : `the ${what}'s signature does not fit`;
}

/**
 * Checks that a signed goal comes from the fleet and is meant for this application and region.
 * The order of goals is not looked at.
 * @throws GoalRefusedError saying what does not fit.
 */
export function verifyGoal(
  signed: Buffer,
  expected: { application: string; region: string; keys: GoalKeys },
): VerifiedGoal {
  if (signed.length > SIGNED_GOAL_MAX_BYTES) throw new GoalRefusedError("the goal is too large");
  const signedGoal = decode(SignedGoal, signed, "signed goal");
  const fault = signatureFault("goal", signedGoal, GOAL_SIGNATURE_CONTEXT, expected.keys);
  if (fault !== undefined) throw new GoalRefusedError(fault);
  const goal = decode(Goal, signedGoal.payload, "goal");
  const run = checkContent(goal, expected);
  return { goal, run, signed };
}

function checkContent(
  goal: Goal,
  expected: { application: string; region: string },
): Release | undefined {
  if (goal.application !== expected.application) {
    throw new GoalRefusedError(`the goal is for application ${printable(goal.application)}`);
  }
  if (!NAME_PATTERN.test(goal.application)) {
    throw new GoalRefusedError("the goal's application is not a name");
  }
  if (goal.region !== expected.region) {
    throw new GoalRefusedError(`the goal is for region ${printable(goal.region)}`);
  }
  if (goal.generation < 1 || goal.issueTime === undefined || goal.deploymentId === "") {
    throw new GoalRefusedError("the goal has no generation, issue time or deployment");
  }
  if (goal.bucketLimit > HOST_BUCKETS) {
    throw new GoalRefusedError(
      `the goal's bucket limit is ${goal.bucketLimit}, above ${HOST_BUCKETS}`,
    );
  }
  if (goal.removed) return undefined;
  if (goal.run === undefined) throw new GoalRefusedError("the goal has nothing to run");
  for (const release of goal.previous === undefined ? [goal.run] : [goal.run, goal.previous]) {
    if (!ARTIFACT_DIGEST_PATTERN.test(release.artifactDigest) || release.run === undefined) {
      throw new GoalRefusedError("the goal's release has no artifact or no run spec");
    }
  }
  return goal.run;
}

function decode<T>(type: { decode(bytes: Buffer): T }, bytes: Buffer, what: string): T {
  try {
    return type.decode(bytes);
  } catch (error) {
    throw new GoalRefusedError(`the ${what} cannot be decoded`, { cause: error });
  }
}

function printable(text: string): string {
  return JSON.stringify(text.slice(0, 80));
}
