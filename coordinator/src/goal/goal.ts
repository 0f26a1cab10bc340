import {
  Goal,
  HOST_BUCKETS,
  type ApplicationGoal,
  type Release,
  type SignedGoal,
} from "@slipway/proto";
import type { GoalSigner } from "./signing.js";

/** How long a goal may be obeyed without being issued again. */
export const GOAL_VALIDITY_MS = 30 * 24 * 3_600_000;

/** NATS takes 1 MiB a message by default; the rest is for its headers. */
export const GOAL_MAX_BYTES = 1_000_000;
/** Signature, key id, and what frames a region's goal. */
const SIGNED_OVERHEAD_BYTES = 200;
/** Takes as many bytes as any time that will be signed. */
const FAR = new Date("2100-01-01T00:00:00.123456Z");

/** What every goal of an application says. */
interface GoalBase {
  application: string;
  generation: number;
  deploymentId: string;
  regions: readonly string[];
}

/**
 * What a deployment's goal is made of. Of all this only limits and removed regions change: limits
 * rise, and regions are added.
 */
export interface GoalSource extends GoalBase {
  selector: Readonly<Record<string, string>>;
  run: Release;
  previous: Release | undefined;
  /** Of the deployment that succeeded with the previous release; 0 for none, or not known. */
  previousGeneration: number;
  /** By region: hosts whose bucket is below it switch; 0 to 10,000. */
  limits: Readonly<Record<string, number>>;
  /** Regions of earlier deployments, none of its own: hosts there stop the application. */
  removedRegions: readonly string[];
  /** No further host is to be told to switch, also by a limit that has not been published yet. */
  holds: boolean;
}

/** The goal of an application that was removed; the deployment id is the removal's own. */
export interface RemovalSource extends GoalBase {
  removed: true;
}

export type AnyGoalSource = GoalSource | RemovalSource;

/** By region: of hosts, how many switch. An application that was removed has no limits. */
export function limitsOfSource(source: AnyGoalSource): Readonly<Record<string, number>> {
  return "removed" in source ? {} : source.limits;
}

/** All regions of which hosts are told something. */
export function regionsOfSource(source: AnyGoalSource): readonly string[] {
  return "removed" in source ? source.regions : [...source.regions, ...source.removedRegions];
}

/** Whether hosts of a region are to stop the application. */
export function isRemovedIn(source: AnyGoalSource, region: string): boolean {
  return runningIn(source, region) === undefined;
}

/** What hosts of a region are to run; undefined if they are to stop the application. */
function runningIn(source: AnyGoalSource, region: string): GoalSource | undefined {
  return "removed" in source || source.removedRegions.includes(region) ? undefined : source;
}

/** The goal of one region. */
function goalOf(source: AnyGoalSource, region: string, issueTime: Date): Goal {
  const running = runningIn(source, region);
  const content =
    running === undefined
      ? {
          selector: {},
          run: undefined,
          previous: undefined,
          bucketLimit: 0,
          removed: true,
          previousGeneration: 0,
        }
      : {
          selector: { ...running.selector },
          run: running.run,
          previous: running.previous,
          previousGeneration: running.previousGeneration,
          bucketLimit: running.limits[region] ?? 0,
          removed: false,
        };
  return {
    application: source.application,
    region,
    generation: source.generation,
    issueTime,
    deploymentId: source.deploymentId,
    expireTime: new Date(issueTime.getTime() + GOAL_VALIDITY_MS),
    ...content,
  };
}

/**
 * The value of the application's key in the global bucket, signed for each region.
 * @throws SignerError if it cannot be signed now.
 */
export async function applicationGoalOf(
  source: AnyGoalSource,
  signer: Pick<GoalSigner, "sign">,
  issueTime: Date,
): Promise<ApplicationGoal> {
  const regions = await Promise.all(
    regionsOfSource(source).map(async (region): Promise<[string, SignedGoal]> => [
      region,
      await signer.sign(goalOf(source, region, issueTime)),
    ]),
  );
  return {
    application: source.application,
    generation: source.generation,
    deploymentId: source.deploymentId,
    regions: Object.fromEntries(regions),
  };
}

/** How large the key's value gets, in bytes; a little too high rather than too low. */
export function goalBytes(source: GoalSource): number {
  return regionsOfSource(source).reduce((all, region) => {
    const largest = { ...source, limits: { [region]: HOST_BUCKETS } };
    const { length } = Goal.encode(goalOf(largest, region, FAR)).finish();
    return all + length + region.length + SIGNED_OVERHEAD_BYTES;
  }, SIGNED_OVERHEAD_BYTES);
}
