import type { DeploymentFact, Facts, FreezeFact } from "./facts.js";
import { type Findings, grouped } from "./verdict.js";

/** From looking for freezes to what is done then: what begins at the same moment is no violation. */
const AT_ONCE_MS = 1_000;

/** Deployments, and steps of them, that began in spite of a freeze. */
export function frozenBeginnings({ deployments, deploymentChanges, freezes }: Facts): Findings {
  const changes = grouped(deploymentChanges, ({ id }) => id);
  const violations = deployments
    .filter(({ isRollback, overridesFreeze }) => !isRollback && !overridesFreeze)
    .flatMap((deployment) => {
      const { id, createTimeMs, limits } = deployment;
      const born = frozenAt(freezes, deployment, Object.keys(limits), createTimeMs);
      const own = changes.get(id) ?? [];
      const steps = own.filter(
        ({ phase }, index) => phase === "SWITCHING" && own[index - 1]?.phase === "STAGING",
      );
      return [
        ...(born === undefined ? [] : [`deployment ${id} was created while ${born} was frozen`]),
        ...steps.flatMap(({ step, regions, timeMs }) => {
          const frozen = frozenAt(freezes, deployment, regions, timeMs);
          if (frozen === undefined) return [];
          return [`step ${step} of deployment ${id} began while ${frozen} was frozen`];
        }),
      ];
    });
  return [freezes.length, violations];
}

/** What was frozen then, of what concerns the deployment in these regions. */
function frozenAt(
  freezes: readonly FreezeFact[],
  { application }: DeploymentFact,
  regions: readonly string[],
  timeMs: number,
): string | undefined {
  const found = freezes.find((freeze) => {
    const isInForce = freeze.fromMs + AT_ONCE_MS < timeMs && timeMs < freeze.untilMs;
    const isOfRegion = freeze.region !== undefined && regions.includes(freeze.region);
    return isInForce && (freeze.application === application || isOfRegion);
  });
  return found?.application ?? found?.region;
}
