import type { EnrolledHost, Goal } from "@slipway/proto";
import { selectorTakes } from "../host/choose.js";
import { compareGoalOrder, goalOrder } from "../host/goal-order.js";
import { ApplicationCount } from "./application-count.js";
import type { HostChange, HostTable } from "./host-table.js";
import type { KnownHost } from "./known-host.js";

/**
 * One count for each of the region's goals, kept up to date as hosts speak. A new goal, or a raised
 * limit, counts that application's hosts anew.
 */
export class RegionCounts {
  readonly #table: HostTable;
  readonly #counts = new Map<string, ApplicationCount>();
  /** Host → the applications that count it, as far as that was needed. */
  readonly #countedBy = new Map<string, readonly string[]>();

  constructor(table: HostTable) {
    this.#table = table;
    table.onChange((host, change) => this.#update(host, change));
  }

  /** The count by this goal, made if there is none by it yet. */
  of(goal: Goal): ApplicationCount {
    const before = this.#counts.get(goal.application);
    if (before !== undefined && sameGoal(before.goal, goal)) return before;
    const count = new ApplicationCount(goal, this.#table.enrolled(), before);
    this.#counts.set(goal.application, count);
    this.#countedBy.clear();
    return count;
  }

  /** Forgets applications that there is no goal of. */
  keep(goals: ReadonlyMap<string, Goal>): void {
    for (const application of this.#counts.keys()) {
      if (!goals.has(application)) this.#counts.delete(application);
    }
  }

  #update(host: KnownHost, change: HostChange): void {
    if (change === "enrolment") {
      this.#countedBy.delete(host.enrolment.hostId);
      for (const count of this.#counts.values()) count.update(host);
      return;
    }
    const applications = change === "silence" ? this.#countedByOf(host.enrolment) : change;
    for (const application of applications) this.#counts.get(application)?.update(host);
  }

  #countedByOf({ hostId, labels }: EnrolledHost): readonly string[] {
    const known = this.#countedBy.get(hostId);
    if (known !== undefined) return known;
    const applications = [...this.#counts]
      .filter(([, { goal }]) => selectorTakes(goal.selector, labels))
      .map(([application]) => application);
    this.#countedBy.set(hostId, applications);
    return applications;
  }
}

function sameGoal(a: Goal, b: Goal): boolean {
  return compareGoalOrder(goalOrder(a), goalOrder(b)) === 0 && a.bucketLimit === b.bucketLimit;
}
