import type { Goal } from "@slipway/proto";
import { registerCounts, registerGauge } from "@slipway/proto/metrics";
import type { Registry } from "prom-client";
import { isStale } from "../host/goal-order.js";
import type { GoalFault } from "../host/verify-goal.js";
import type { Trust } from "../trust/open-trust.js";

/** Which key set the agent goes by; nothing without a root key. */
export function registerTrust(registry: Registry, { keySet }: Trust): void {
  if (keySet === undefined) return;
  registerGauge(registry, {
    name: "slipway_key_set_version",
    help: "Version of the key set that the agent goes by; 0 while there is none.",
    read: () => keySet.version,
  });
  registerCounts(registry, {
    name: "slipway_key_sets_total",
    help: "Key sets taken, not of the root key's, of a held version but other, older, and damaged.",
    label: "result",
    read: () => ({ ...keySet.stats }),
  });
}

/** Goals that a host does not obey, and those that it obeys though their time is over. */
export function registerObeyed(
  registry: Registry,
  read: () => { refused: Readonly<Record<GoalFault, number>>; stale: number },
): void {
  registerCounts(registry, {
    name: "slipway_host_refused_goals_total",
    help: "Goals refused, by what did not fit.",
    label: "fault",
    read: () => read().refused,
  });
  registerGauge(registry, {
    name: "slipway_host_stale_goals",
    help: "Applications whose goal the fleet has not renewed in time.",
    read: () => read().stale,
  });
}

/** Goals of a region's that the fleet has not renewed in time. */
export function registerStale(registry: Registry, goals: () => Iterable<Goal>): void {
  registerGauge(registry, {
    name: "slipway_region_stale_goals",
    help: "Applications whose goal the fleet has not renewed in time.",
    read: () => [...goals()].filter((goal) => isStale(goal, Date.now())).length,
  });
}
