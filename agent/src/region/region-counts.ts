import type { Goal } from "@slipway/proto";
import { compareGoalOrder, goalOrder } from "../host/goal-order.js";
import { ApplicationCount } from "./application-count.js";
import type { HostTable } from "./host-table.js";
import type { KnownHost } from "./known-host.js";

/**
 * One count for each of the region's goals, kept up to date as hosts speak. A new goal, or a raised
 * limit, counts that application's hosts anew.
 */
export class RegionCounts {
  readonly #table: HostTable;
  readonly #counts = new Map<string, ApplicationCount>();

  constructor(table: HostTable) {
    this.#table = table;
    table.onChange((host, applications) => this.#update(host, applications));
  }

  /** The count by this goal, made if there is none by it yet. */
  of(goal: Goal): ApplicationCount {
    const before = this.#counts.get(goal.application);
    if (before !== undefined && sameGoal(before.goal, goal)) return before;
    const count = new ApplicationCount(goal, this.#table.enrolled(), before);
    this.#counts.set(goal.application, count);
    return count;
  }

  /** Forgets applications that there is no goal of. */
  keep(goals: ReadonlyMap<string, Goal>): void {
    for (const application of this.#counts.keys()) {
      if (!goals.has(application)) this.#counts.delete(application);
    }
  }

  #update(host: KnownHost, applications: readonly string[] | undefined): void {
    if (applications === undefined) {
      for (const count of this.#counts.values()) count.update(host);
      return;
    }
    for (const application of applications) this.#counts.get(application)?.update(host);
  }
}

function sameGoal(a: Goal, b: Goal): boolean {
  return compareGoalOrder(goalOrder(a), goalOrder(b)) === 0 && a.bucketLimit === b.bucketLimit;
}
