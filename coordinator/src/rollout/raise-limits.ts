import { HOST_BUCKETS } from "@slipway/proto";

/** One region of the present step, as its agents count it at its present limit. */
export interface RegionSwitch {
  hostCount: number;
  chosenCount: number;
  /** Chosen, heard of, and neither running nor failed. */
  onTheWay: number;
  /** The lowest bucket of a host at or above the limit. */
  nextBucket: number;
}

/**
 * The limit that a region is to have next: as many more of its hosts as may be on their way at once,
 * up to the step's percentage, but at least one. The present limit if none may switch yet.
 */
export function raiseLimit(
  limit: number,
  percent: number,
  maxSwitchingPercent: number,
  region: RegionSwitch,
): number {
  const target = Math.max(limit, percent * 100);
  const { hostCount, chosenCount, onTheWay, nextBucket } = region;
  if (hostCount === 0) return target;
  // The percentage takes none of so few hosts: the first of them goes ahead.
  if (chosenCount === 0 && nextBucket >= target) return Math.min(HOST_BUCKETS, nextBucket + 1);
  if (limit >= target) return limit;
  const allowance = Math.max(1, Math.floor((hostCount * maxSwitchingPercent) / 100));
  if (onTheWay >= allowance) return limit;
  const share = Math.ceil(((allowance - onTheWay) / hostCount) * HOST_BUCKETS);
  // Buckets in which there is no host are skipped.
  const raised = Math.max(limit + share, nextBucket + 1);
  return Math.min(target, raised);
}
