import type { FleetPlan } from "./command-lines.js";
import type { ResolvedFleetOptions } from "./options.js";

/** What the fleet needs that others have made: its directory and servers. */
export interface Ground {
  dir: string;
  natsUrl: string;
  databaseUrl: string;
  replicationDatabaseUrl: string;
}

/** Gives every process of the fleet its name and its ports. */
export async function planFleet(
  { regions, hostsPerRegion, builders }: ResolvedFleetOptions,
  ground: Ground,
  freePort: () => Promise<number>,
): Promise<FleetPlan> {
  const plan = {
    ...ground,
    coordinatorPort: await freePort(),
    builders: Array.from({ length: builders }, (_, i) => `builder-${i + 1}`),
    regions: [] as FleetPlan["regions"][number][],
    hosts: [] as FleetPlan["hosts"][number][],
  };
  for (const region of regions) {
    plan.regions.push({ region, agentId: `${region}-agent`, port: await freePort() });
    for (let i = 1; i <= hostsPerRegion; i++) {
      const hostId = `${region}-${i}`;
      plan.hosts.push({ region, hostId, port: await freePort(), servicePort: await freePort() });
    }
  }
  return plan;
}
