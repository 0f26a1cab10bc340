import type { ApplicationGoal, Goal, SignedGoal } from "@slipway/proto";
import { isRemovedIn, limitsOfSource, regionsOfSource, type AnyGoalSource } from "./goal.js";
import type { GoalSigner } from "./signing.js";

/** A goal is issued again when less than this is left. */
export const GOAL_RENEWAL_MS = 15 * 24 * 3_600_000;
/** No fleet gets there by deploying: a generation above it was never ours, and leaves no room. */
export const MAX_GENERATION = 2 ** 48;

/** Why the bucket's value is replaced. */
type WriteReason = "missing" | "older" | "incomplete" | "renewal" | "key" | "limit" | "nonsense";

/** By region: what was published and is above the source's, which has lost it or is out of date. */
export type Limits = Readonly<Record<string, number>>;

/** What to do about the bucket's value for an application. */
export type Projection =
  | { action: "keep"; beyond: Limits }
  | {
      action: "write";
      beyond: Limits;
      why: WriteReason;
      /** What is to be written: the source, and nothing less than what was published of it. */
      source: AnyGoalSource;
      issueTime: Date;
    }
  /** The bucket is ahead of the database: never corrected downwards. */
  | { action: "alarm"; generation: number; deploymentId: string };

/** Whether the value can be an application's goal at all, whatever it says. */
function isPlausible(present: ApplicationGoal, application: string): boolean {
  return present.application === application && present.generation <= MAX_GENERATION;
}

/** Whether it names nothing but keys that were revoked: to hosts its generation means nothing. */
function isRevoked({ regions }: ApplicationGoal, signer: Pick<GoalSigner, "isRevoked">): boolean {
  const goals = Object.values(regions);
  return goals.length > 0 && goals.every(({ keyId }) => signer.isRevoked(keyId));
}

/** The generation that the next one has to be above; 0 if it need not be above any. */
export function bindingGeneration(
  present: ApplicationGoal | undefined,
  application: string,
  signer: Pick<GoalSigner, "isRevoked">,
): number {
  const binds =
    present !== undefined && isPlausible(present, application) && !isRevoked(present, signer);
  return binds ? present.generation : 0;
}

/** Compares what should be in the bucket with what is. `present` is undefined for nothing there. */
export function planProjection(
  source: AnyGoalSource,
  present: ApplicationGoal | undefined,
  signer: Pick<GoalSigner, "keyId" | "open" | "isRevoked">,
  now: Date,
): Projection {
  const write = (why: WriteReason, what = source): Projection => ({
    action: "write",
    beyond: {},
    why,
    source: what,
    issueTime: now,
  });
  if (present === undefined) return write("missing");
  if (!isPlausible(present, source.application)) return write("nonsense");
  const { generation, deploymentId } = present;
  if (generation < source.generation) {
    return write("older", holds(source) ? { ...source, limits: {} } : source);
  }
  if (generation > source.generation || deploymentId !== source.deploymentId) {
    if (isRevoked(present, signer)) return write("nonsense");
    return { action: "alarm", generation, deploymentId };
  }
  const seen = regionsOfSource(source).map((region) => judge(source, region, present, signer, now));
  const why = seen.find((one) => one.why !== undefined)?.why;
  const known = limitsOfSource(source);
  const above = regionsOfSource(source).flatMap((region, index): [string, number][] => {
    const limit = seen[index]?.published?.bucketLimit ?? 0;
    return limit > (known[region] ?? 0) ? [[region, limit]] : [];
  });
  const beyond = Object.fromEntries(above);
  if (why === undefined) return { action: "keep", beyond };
  // Of the same generation a higher limit was published before, or is by somebody who knows more.
  const limits: { [region: string]: number } = { ...limitsOfSource(source) };
  for (const [index, region] of source.regions.entries()) {
    const published = seen[index]?.published?.bucketLimit;
    limits[region] = holds(source)
      ? (published ?? limits[region] ?? 0)
      : Math.max(limits[region] ?? 0, published ?? 0);
  }
  // Hosts take the later one, whatever the clocks of coordinators say.
  const times = seen.map(({ published }) => (published?.issueTime?.getTime() ?? 0) + 1);
  const issueTime = new Date(Math.max(now.getTime(), ...times));
  return {
    action: "write",
    beyond,
    why,
    source: merge(source, limits, present, signer),
    issueTime,
  };
}

/** The source with these limits, and with the regions that somebody knew to be removed. */
function merge(
  source: AnyGoalSource,
  limits: Readonly<Record<string, number>>,
  present: ApplicationGoal,
  signer: Pick<GoalSigner, "open">,
): AnyGoalSource {
  if ("removed" in source) return source;
  const told = new Set(regionsOfSource(source));
  const more = Object.entries(present.regions).filter(([region, signed]) => {
    const goal = told.has(region) ? undefined : signer.open(signed);
    return goal?.removed === true && isNamed(goal, source, region);
  });
  const removedRegions = [...source.removedRegions, ...more.map(([region]) => region)];
  return { ...source, limits, removedRegions };
}

function holds(source: AnyGoalSource): boolean {
  return !("removed" in source) && source.holds;
}

/** What is wrong with one region's goal, and the goal if it is one that the fleet signed. */
function judge(
  source: AnyGoalSource,
  region: string,
  present: ApplicationGoal,
  signer: Pick<GoalSigner, "keyId" | "open">,
  now: Date,
): { why: WriteReason | undefined; published: Goal | undefined } {
  const signed: SignedGoal | undefined = present.regions[region];
  if (signed === undefined) return { why: "incomplete", published: undefined };
  const isOwn = signed.keyId === signer.keyId;
  const published = signer.open(signed);
  if (published === undefined || !isOf(published, source, region)) {
    return { why: isOwn ? "nonsense" : "key", published: undefined };
  }
  if (!isOwn) return { why: "key", published };
  const limit = limitsOfSource(source)[region] ?? 0;
  if (published.bucketLimit < limit && !holds(source)) return { why: "limit", published };
  const left = (published.expireTime?.getTime() ?? 0) - now.getTime();
  return { why: left < GOAL_RENEWAL_MS ? "renewal" : undefined, published };
}

/** Signed by us, and yet it may have been put where it does not belong. */
function isOf(goal: Goal, source: AnyGoalSource, region: string): boolean {
  return isNamed(goal, source, region) && goal.removed === isRemovedIn(source, region);
}

/** Whether it says that it is this source's goal for the region. */
function isNamed(goal: Goal, source: AnyGoalSource, region: string): boolean {
  return (
    goal.application === source.application &&
    goal.region === region &&
    goal.generation === source.generation &&
    goal.deploymentId === source.deploymentId
  );
}
