import path from "node:path";
import { writeNatsConfig, writeNatsUser } from "@slipway/coordinator";
import { type FleetPlan, natsFolder, natsUserFile } from "./command-lines.js";

const USER_DAYS = 30;

/** Makes what servers need who let nobody in but the fleet, as `slipway-coordinator nats-config` would. */
export function writeNatsKeys(
  dir: string,
  { regions, regionsWithNats }: { regions: readonly string[]; regionsWithNats: readonly string[] },
): Promise<void> {
  return writeNatsConfig({
    out: natsFolder(dir),
    regions,
    ownServers: regionsWithNats,
    dataDir: path.join(dir, "nats-data"),
    days: USER_DAYS,
  });
}

/** Makes a user of each region agent and host, as `slipway-coordinator nats-user` would. */
export async function writeNatsUsers({ dir, regions, hosts }: FleetPlan): Promise<void> {
  const expireTime = new Date(Date.now() + USER_DAYS * 24 * 3_600_000);
  const issuer = path.join(natsFolder(dir), "issuer.json");
  const members = [
    ...regions.map(({ agentId: id, region }) => ({ id, region, role: "region" as const })),
    ...hosts.map(({ hostId: id, region }) => ({ id, region, role: "host" as const })),
  ];
  for (const member of members) {
    await writeNatsUser({ ...member, issuer, expireTime, out: natsUserFile(dir, member.id) });
  }
}
