import {
  durationFromMs,
  type DeploymentTotals,
  type PhaseCount,
  type RegionProgress,
  type Replication,
} from "@slipway/proto";
import type { Context } from "../context.js";
import type { StoredDeployment } from "./deployment.js";
import { limitOf } from "./snapshot.js";

/** How far a deployment is: its regions, and all of them together. */
export interface Progress {
  regions: RegionProgress[];
  totals: DeploymentTotals;
  /** Since when nothing was heard of any region; undefined while this coordinator hears. */
  unheardSince: Date | undefined;
}

/** As far as this coordinator has heard. @param replications of the artifact, as far as known. */
export function progressOf(
  { status }: Pick<Context, "status">,
  { goal, snapshot }: StoredDeployment,
  replications: readonly Replication[],
): Progress {
  const { application, generation, regions: names } = goal;
  const states = new Map(replications.map(({ region, state }) => [region, state]));
  const regions = status.progress(application, generation, names).map((region) => ({
    ...region,
    bucketLimit: limitOf(snapshot, region.region),
    replication: states.get(region.region) ?? region.replication,
  }));
  return { regions, totals: totalsOf(regions), unheardSince: status.unheardSince };
}

/** Pure: what regions' agents say, added up. */
export function totalsOf(regions: readonly RegionProgress[]): DeploymentTotals {
  const statuses = regions.flatMap(({ status }) => status ?? []);
  const sum = (
    count: "hostCount" | "silentCount" | "bytesDone" | "bytesTotal" | "bytesPerSecond",
  ): number => statuses.reduce((all, status) => all + status[count], 0);
  const [bytesDone, bytesTotal] = [sum("bytesDone"), sum("bytesTotal")];
  const bytesPerSecond = sum("bytesPerSecond");
  return {
    hostCount: sum("hostCount"),
    phases: addUp(statuses.flatMap(({ phases }) => phases)),
    silentCount: sum("silentCount"),
    bytesDone,
    bytesTotal,
    bytesPerSecond,
    eta: etaOf(bytesTotal - bytesDone, bytesPerSecond),
  };
}

function addUp(counts: readonly PhaseCount[]): PhaseCount[] {
  const found = new Map<PhaseCount["phase"], number>();
  for (const { phase, count } of counts) found.set(phase, (found.get(phase) ?? 0) + count);
  return [...found].map(([phase, count]) => ({ phase, count })).sort((a, b) => a.phase - b.phase);
}

function etaOf(bytesLeft: number, bytesPerSecond: number) {
  if (bytesLeft <= 0) return undefined;
  return bytesPerSecond > 0 ? durationFromMs((bytesLeft / bytesPerSecond) * 1_000) : undefined;
}
