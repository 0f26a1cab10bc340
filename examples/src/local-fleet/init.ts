import { existsSync } from "node:fs";
import { writeFleetFiles } from "@slipway/coordinator/init";
import { keysFolder, natsDataFolder, SERVER_NAME } from "./files.js";

const VALID_DAYS = 30;

/** Makes what a fleet begins with, as `slipway-coordinator init` does, unless it is there. */
export async function initFleet(
  dir: string,
  { regions, regionsWithNats }: { regions: readonly string[]; regionsWithNats: readonly string[] },
): Promise<void> {
  if (existsSync(keysFolder(dir))) return;
  await writeFleetFiles({
    out: keysFolder(dir),
    names: [SERVER_NAME],
    regions,
    ownServers: regionsWithNats,
    natsDataDir: natsDataFolder(dir),
    days: VALID_DAYS,
  });
}
