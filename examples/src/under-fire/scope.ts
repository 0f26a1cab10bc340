import type { LocalFleet } from "../local-fleet/index.js";
import { applicationNames, FLEETING, NARROWED } from "./applications.js";
import type { OperationPlanOptions } from "./operation-plan.js";
import type { Scale } from "./scale.js";

/** Labels that only each region's first host has beside its own: a selector that asks for them. */
export const NARROWER = { place: "first" };

/** The last host of the first region comes and goes for every selector. */
export function relabelledHosts({ hosts, regions }: LocalFleet): string[] {
  const own = hosts.filter(({ region }) => region === regions[0]);
  return own.slice(-1).map(({ id }) => id);
}

/** What operators may touch, so that something is always left to deploy to. */
export function operationScope(
  { hosts, regions }: LocalFleet,
  { durationMs, operations }: Scale,
): OperationPlanOptions {
  return {
    applications: applicationNames(),
    regions,
    fleeting: FLEETING,
    narrowed: NARROWED,
    // Of the last region, and not its only one.
    doomed: hosts.at(-1)!.id,
    durationMs,
    count: operations,
  };
}
