import { createPublicKey, KeyObject } from "node:crypto";
import {
  ARTIFACT_DIGEST_PATTERN,
  GOAL_SIGNATURE_CONTEXT,
  HOST_BUCKETS,
  Goal,
  isSignatureOf,
  NAME_PATTERN,
  shortKeyId,
  signedMessage,
  SignedGoal,
  type Release,
} from "@slipway/proto";
import { type GoalKeys, type KeyFault, outlives, TrustedKeys } from "../trust/trusted-keys.js";

/** Largest signed goal that is looked at: NATS' own bound for a message. */
const SIGNED_GOAL_MAX_BYTES = 1024 * 1024;

/** A goal whose signature and content were checked. */
export interface VerifiedGoal {
  goal: Goal;
  /** What to run: well-formed, and there unless the application was removed. */
  run: Release | undefined;
  /** The SignedGoal as received, to be kept. */
  signed: Buffer;
  /** Of the key that signed it. */
  keyId: string;
}

/** What a goal must be. */
export interface GoalExpected {
  application: string;
  region: string;
  keys: GoalKeys;
  /** It was obeyed already, when its key held: that it holds no more does not matter. */
  kept?: boolean | undefined;
}

/**
 * What of a goal does not fit: the key that it names is none that the agent goes by; its signature;
 * what it says; or its place in the order, behind one that was obeyed.
 */
export type GoalFault = "key" | "signature" | "content" | "order";

export class GoalRefusedError extends Error {
  override readonly name = "GoalRefusedError";
  readonly fault: GoalFault;

  constructor(message: string, fault: GoalFault = "content", options?: ErrorOptions) {
    super(message, options);
    this.fault = fault;
  }
}

/** First 8 bytes of SHA-256 of the raw public key, in hexadecimal. */
export const goalKeyId = shortKeyId;

/**
 * Reads public keys in SPKI PEM.
 * @throws Error for anything but an Ed25519 public key.
 */
export function readGoalKeys(pems: readonly (string | Buffer)[]): GoalKeys {
  const goalKeys = pems.map((pem) => createPublicKey(pem));
  const isOther = goalKeys.some(({ asymmetricKeyType }) => asymmetricKeyType !== "ed25519");
  if (isOther) throw new Error("a goal key is not an Ed25519 key");
  return TrustedKeys.fixed({ goalKeys }).goals;
}

export interface SignatureFault {
  readonly fault: "key" | "signature";
  readonly message: string;
  /** What is wrong with the key. */
  readonly key?: KeyFault;
}

/** Why none of the keys has signed this payload in this context; undefined if one has. */
export function signatureFault(
  what: string,
  { payload, signature, keyId }: SignedGoal,
  context: string,
  keys: GoalKeys,
): SignatureFault | undefined {
  if (keyId === "") return { fault: "signature", message: `the ${what} is not signed` };
  const key = keys.find(keyId);
  if (!(key instanceof KeyObject)) {
    return { fault: "key", message: `the ${what}'s key is not trusted: ${key.message}`, key };
  }
  if (isSignatureOf(key, signedMessage(context, payload), signature)) return undefined;
  return { fault: "signature", message: `the ${what}'s signature does not fit` };
}

/**
 * Checks that a signed goal comes from the fleet and is meant for this application and region.
 * The order of goals is not looked at.
 * @throws GoalRefusedError saying what does not fit.
 */
export function verifyGoal(signed: Buffer, expected: GoalExpected): VerifiedGoal {
  if (signed.length > SIGNED_GOAL_MAX_BYTES) throw new GoalRefusedError("the goal is too large");
  const signedGoal = decode(SignedGoal, signed, "signed goal");
  const fault = signatureFault("goal", signedGoal, GOAL_SIGNATURE_CONTEXT, expected.keys);
  const kept = expected.kept === true && fault?.key !== undefined && outlives(fault.key);
  if (fault !== undefined && !kept) throw new GoalRefusedError(fault.message, fault.fault);
  const goal = decode(Goal, signedGoal.payload, "goal");
  const run = checkContent(goal, expected);
  return { goal, run, signed, keyId: signedGoal.keyId };
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
    throw new GoalRefusedError(`the ${what} cannot be decoded`, "content", { cause: error });
  }
}

function printable(text: string): string {
  return JSON.stringify(text.slice(0, 80));
}
