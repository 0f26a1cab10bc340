import type { Strategy } from "@slipway/proto";
import { begin } from "../../src/rollout/begin.js";
import { checkStrategy } from "../../src/application/strategy.js";
import type { Snapshot } from "../../src/rollout/snapshot.js";
import { Violations } from "../../src/validate.js";
import { Strategy as StrategyMessage } from "@slipway/proto";

/** When the deployments of table tests begin. */
export const START = 1_000_000;

type PartialStrategy = NonNullable<Parameters<typeof StrategyMessage.fromPartial>[0]>;

/** With its defaults filled in. */
export function strategyOf(given: PartialStrategy, regions: readonly string[]): Strategy {
  const found = new Violations();
  const scope = { regions, run: undefined };
  const strategy = checkStrategy(StrategyMessage.fromPartial(given), scope, "strategy", found);
  found.throwIfAny();
  return strategy;
}

/** A new deployment by ann; 10 percent of eu, then all of eu and us, unless told otherwise. */
export function snapshotOf(
  change: Partial<Snapshot> = {},
  strategy: PartialStrategy = {},
): Snapshot {
  const regions = ["eu", "us"];
  const begun = begin({
    strategy: strategyOf(strategy, regions),
    regions,
    isRollback: change.isRollback ?? false,
    creator: "ann",
    overrideFreeze: false,
    now: START,
    startTimeoutMs: 3_600_000,
  });
  return { ...begun, ...change };
}
