import type { DeploymentFact, Facts, GoalFact } from "./facts.js";
import { forgotten, newest } from "./newest.js";

const BUCKETS = ["global", "regional"] as const;

/** What of the goals in the buckets is not what Postgres has. */
export function disagreements(facts: Facts): string[] {
  return [...outdatedGoals(facts), ...missingRemovals(facts)];
}

function outdatedGoals(facts: Facts): string[] {
  return newest(facts).flatMap((deployment) => {
    const { id, application, generation, limits, runDigest } = deployment;
    return eachGoal(facts, application, Object.keys(limits), (goal, region) => [
      goal.deploymentId === id && goal.generation === generation
        ? ""
        : `is of generation ${goal.generation} (${goal.deploymentId}), not ${generation} (${id})`,
      goal.limit === limits[region] || (isKeptBack(deployment) && goal.limit < limits[region]!)
        ? ""
        : `has limit ${goal.limit}, not ${limits[region]}`,
      goal.runDigest === runDigest ? "" : "runs another artifact",
    ]);
  });
}

/** Limits that rose while NATS took no writes do not go out once it has ended so. */
function isKeptBack({ state, isRollback }: DeploymentFact): boolean {
  return state === "ABORTED" || (state === "FAILED" && !isRollback);
}

function missingRemovals(facts: Facts): string[] {
  return forgotten(facts).flatMap(({ name, removalGeneration, removalRegions }) =>
    eachGoal(facts, name, removalRegions, (goal) => [
      goal.isRemoval ? "" : "does not say that it is removed",
      goal.generation === removalGeneration
        ? ""
        : `is of generation ${goal.generation}, not ${removalGeneration}`,
    ]),
  );
}

/** @param faultsOf - What is wrong with one; empty words for nothing. */
function eachGoal(
  { goals }: Facts,
  application: string,
  regions: readonly string[],
  faultsOf: (goal: GoalFact, region: string) => string[],
): string[] {
  return regions.flatMap((region) =>
    BUCKETS.flatMap((bucket) => {
      const where = `the ${bucket} goal of ${application} in ${region}`;
      const goal = goals.find(
        (each) =>
          each.bucket === bucket && each.region === region && each.application === application,
      );
      if (goal === undefined) return [`${where} is missing`];
      const faults = [goal.isSigned ? "" : "is not signed", ...faultsOf(goal, region)];
      return faults.filter((fault) => fault !== "").map((fault) => `${where} ${fault}`);
    }),
  );
}
