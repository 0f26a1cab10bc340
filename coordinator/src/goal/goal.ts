import { Goal, type ApplicationGoal, type Release, type SignedGoal } from "@slipway/proto";
import type { GoalSigner } from "./signing.js";

/** How long a goal may be obeyed without being issued again. */
export const GOAL_VALIDITY_MS = 30 * 24 * 3_600_000;
/** A goal is issued again when less than this is left. */
export const GOAL_RENEWAL_MS = 15 * 24 * 3_600_000;

/** NATS takes 1 MiB a message by default; the rest is for its headers. */
export const GOAL_MAX_BYTES = 1_000_000;
/** Signature, key id, and what frames a region's goal. */
const SIGNED_OVERHEAD_BYTES = 200;
/** Takes as many bytes as any time that will be signed. */
const FAR = new Date("2100-01-01T00:00:00.123456Z");

/** What a goal is made of: the part of a deployment that never changes. */
export interface GoalSource {
  application: string;
  generation: number;
  deploymentId: string;
  regions: readonly string[];
  selector: Readonly<Record<string, string>>;
  run: Release;
  previous: Release | undefined;
}

/** The goal of one region. */
function goalOf(source: GoalSource, region: string, issueTime: Date): Goal {
  return {
    application: source.application,
    region,
    generation: source.generation,
    issueTime,
    deploymentId: source.deploymentId,
    selector: { ...source.selector },
    run: source.run,
    previous: source.previous,
    bucketLimit: 10_000,
    removed: false,
    expireTime: new Date(issueTime.getTime() + GOAL_VALIDITY_MS),
  };
}

/** The value of the application's key in the global bucket, signed for each region. */
export function applicationGoalOf(
  source: GoalSource,
  signer: GoalSigner,
  issueTime: Date,
): ApplicationGoal {
  const regions: Record<string, SignedGoal> = {};
  for (const region of source.regions) {
    regions[region] = signer.sign(goalOf(source, region, issueTime));
  }
  return {
    application: source.application,
    generation: source.generation,
    deploymentId: source.deploymentId,
    regions,
  };
}

/** How large the key's value gets, in bytes; a little too high rather than too low. */
export function goalBytes(source: GoalSource): number {
  return source.regions.reduce((all, region) => {
    const { length } = Goal.encode(goalOf(source, region, FAR)).finish();
    return all + length + region.length + SIGNED_OVERHEAD_BYTES;
  }, SIGNED_OVERHEAD_BYTES);
}

/** What to do about the bucket's value for an application. */
export type Projection =
  | { action: "keep" }
  /** The bucket has none, an older one, or one that runs out or has another key. */
  | { action: "write"; why: "missing" | "older" | "incomplete" | "renewal" | "key" }
  /** The bucket is ahead of the database: never corrected downwards. */
  | { action: "alarm"; generation: number; deploymentId: string };

/** Compares what should be in the bucket with what is. `present` is undefined for nothing there. */
export function planProjection(
  source: GoalSource,
  present: ApplicationGoal | undefined,
  keyId: string,
  now: Date,
): Projection {
  if (present === undefined) return { action: "write", why: "missing" };
  if (present.generation < source.generation) return { action: "write", why: "older" };
  const { generation, deploymentId } = present;
  if (generation > source.generation || deploymentId !== source.deploymentId) {
    return { action: "alarm", generation, deploymentId };
  }
  for (const region of source.regions) {
    const signed = present.regions[region];
    if (signed === undefined) return { action: "write", why: "incomplete" };
    if (signed.keyId !== keyId) return { action: "write", why: "key" };
    const expireTime = Goal.decode(signed.payload).expireTime?.getTime() ?? 0;
    if (expireTime - now.getTime() < GOAL_RENEWAL_MS) return { action: "write", why: "renewal" };
  }
  return { action: "keep" };
}
