import type { FleetPlan } from "./command-lines.js";
import type { ResolvedFleetOptions } from "./options.js";

/** What the fleet needs that others have made: its directory and servers. */
export interface Ground {
  dir: string;
  /** Of the global NATS. */
  natsUrl: string;
  /** Of regions that have one of their own. */
  regionNatsUrls: Readonly<Record<string, string>>;
  databaseUrl: string;
  replicationDatabaseUrl: string;
}

/** Gives every process of the fleet its name and its ports. */
export async function planFleet(
  { regions, hostsPerRegion, agentsPerRegion, builders, coordinators }: ResolvedFleetOptions,
  ground: Ground,
  freePort: () => Promise<number>,
): Promise<FleetPlan> {
  const plan = {
    ...ground,
    coordinators: [] as FleetPlan["coordinators"][number][],
    builders: Array.from({ length: builders }, (_, i) => `builder-${i + 1}`),
    regions: [] as FleetPlan["regions"][number][],
    hosts: [] as FleetPlan["hosts"][number][],
  };
  for (const name of numbered("coordinator", coordinators)) {
    plan.coordinators.push({ name, port: await freePort() });
  }
  for (const region of regions) {
    for (const agentId of numbered(`${region}-agent`, agentsPerRegion)) {
      plan.regions.push({ region, agentId, port: await freePort() });
    }
    for (let i = 1; i <= hostsPerRegion; i++) {
      const hostId = `${region}-${i}`;
      plan.hosts.push({ region, hostId, port: await freePort(), servicePort: await freePort() });
    }
  }
  return plan;
}

/** A single one needs no number. */
function numbered(name: string, count: number): string[] {
  return count === 1 ? [name] : Array.from({ length: count }, (_, i) => `${name}-${i + 1}`);
}
