import type { Client } from "@slipway/sdk";
import type { CountFact, DeploymentFact } from "./facts.js";

/** By how many hosts in each region the coordinators count these deployments. */
export async function readCounts(
  client: Client,
  deployments: readonly DeploymentFact[],
  signal: AbortSignal,
): Promise<CountFact[]> {
  const counts: CountFact[] = [];
  for (const { id, application } of deployments) {
    const { regions } = await client.deployments.get(id, { signal });
    for (const { region, status } of regions) {
      counts.push({ application, region, hosts: status?.hostCount });
    }
  }
  return counts;
}
