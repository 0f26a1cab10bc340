import type { DeploymentFact, Facts } from "./facts.js";

export const FINAL_DEPLOYMENT: ReadonlySet<string> = new Set([
  "SUCCEEDED",
  "FAILED",
  "SUPERSEDED",
  "ABORTED",
]);

/** The newest deployment of each application, but of those that hosts were told to forget since. */
export function newest({
  deployments,
  applications,
}: Pick<Facts, "deployments" | "applications">): DeploymentFact[] {
  const found = new Map<string, DeploymentFact>();
  for (const each of deployments) {
    const known = found.get(each.application);
    if (known === undefined || known.generation < each.generation)
      found.set(each.application, each);
  }
  const removals = new Map(applications.map((each) => [each.name, each.removalGeneration]));
  return [...found.values()].filter(
    ({ application, generation }) => generation > (removals.get(application) ?? 0),
  );
}

/** Applications that no host should have, with the goal that says so; none that never was deployed. */
export function forgotten(
  facts: Pick<Facts, "deployments" | "applications">,
): Facts["applications"] {
  const there = new Set(newest(facts).map(({ application }) => application));
  return facts.applications.filter(
    ({ name, removalGeneration }) => removalGeneration > 0 && !there.has(name),
  );
}
