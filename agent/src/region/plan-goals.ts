import {
  ApplicationGoal,
  Goal,
  GoalDigest,
  GoalVersion,
  NAME_PATTERN,
  SignedGoal,
} from "@slipway/proto";
import { compareGoalOrder, goalOrder } from "../host/goal-order.js";

/** A signed goal with what it says. The signature is the hosts' to check. */
export interface RegionGoal {
  goal: Goal;
  /** The SignedGoal as it goes into the regional bucket. */
  signed: Buffer;
}

export class GoalValueError extends Error {
  override readonly name = "GoalValueError";
}

/**
 * A region's part of a value of the global bucket; undefined if the application is not for it.
 * @throws GoalValueError for a value that makes no sense.
 */
export function readGlobalGoal(
  key: string,
  value: Uint8Array,
  region: string,
): RegionGoal | undefined {
  if (!NAME_PATTERN.test(key)) throw new GoalValueError("the key is not an application's name");
  const { application, regions } = decode(ApplicationGoal, value);
  if (application !== key) throw new GoalValueError("the value is another application's");
  const signed = Object.hasOwn(regions, region) ? regions[region] : undefined;
  return signed && check(key, Buffer.from(SignedGoal.encode(signed).finish()), region);
}

/** A value of the regional bucket. @throws GoalValueError */
export function readRegionalGoal(key: string, value: Uint8Array, region: string): RegionGoal {
  if (!NAME_PATTERN.test(key)) throw new GoalValueError("the key is not an application's name");
  return check(key, Buffer.from(value), region);
}

/**
 * Whether the global goal is to take the regional one's place: it is newer, or it is the same one and
 * the regional value was tampered with.
 */
export function replaces(global: RegionGoal, regional: RegionGoal | undefined): boolean {
  if (regional === undefined) return true;
  const order = compareGoalOrder(goalOrder(global.goal), goalOrder(regional.goal));
  return order > 0 || (order === 0 && !global.signed.equals(regional.signed));
}

/**
 * The digest of a regional bucket's goals, of its list of revoked hosts and of its key set: sorted, so
 * that equal goals give equal bytes.
 */
export function encodeDigest(
  goals: Iterable<Goal>,
  { revocationsVersion = 0, keySetVersion = 0 }: Partial<Omit<GoalDigest, "goals">> = {},
): Buffer {
  const versions = [...goals]
    .sort((a, b) => (a.application < b.application ? -1 : 1))
    .map(({ application, generation, issueTime, selector, removed }) =>
      GoalVersion.fromPartial({
        application,
        generation,
        issueTime,
        removed,
        selector: Object.fromEntries(Object.entries(selector).sort(([a], [b]) => (a < b ? -1 : 1))),
      }),
    );
  const digest = { goals: versions, revocationsVersion, keySetVersion };
  return Buffer.from(GoalDigest.encode(digest).finish());
}

function check(key: string, signed: Buffer, region: string): RegionGoal {
  const goal = decode(Goal, decode(SignedGoal, signed).payload);
  if (goal.application !== key || goal.region !== region) {
    throw new GoalValueError("the goal is for another application or region");
  }
  if (goal.generation < 1 || goal.issueTime === undefined) {
    throw new GoalValueError("the goal has no generation or issue time");
  }
  return { goal, signed };
}

function decode<T>(type: { decode(bytes: Uint8Array): T }, bytes: Uint8Array): T {
  try {
    return type.decode(bytes);
  } catch (error) {
    throw new GoalValueError("the value cannot be decoded", { cause: error });
  }
}
