import { ReplicationState, type Replication } from "@slipway/proto";

/** A region that does not hold the artifact, and what is known of it. */
export interface MissingRegion {
  region: string;
  /** Undefined if nothing was planned for the region yet. */
  replication: Replication | undefined;
}

/** Those of the regions that do not hold the artifact whole. Empty means deployable. */
export function missingRegions(
  regions: readonly string[],
  replications: readonly Replication[],
): MissingRegion[] {
  const known = new Map(replications.map((replication) => [replication.region, replication]));
  return regions
    .map((region) => ({ region, replication: known.get(region) }))
    .filter(({ replication }) => replication?.state !== ReplicationState.COMPLETE);
}

/** For a person: "eu is COPYING (40 of 100 bytes), us is FAILED (disk full)". */
export function describeMissing(missing: readonly MissingRegion[]): string {
  return missing.map(describe).join(", ");
}

function describe({ region, replication }: MissingRegion): string {
  if (replication === undefined) return `${region} is PENDING`;
  const { state, bytesCopied, sizeBytes, message } = replication;
  const known = `${region} is ${ReplicationState[state]}`;
  if (state === ReplicationState.COPYING) return `${known} (${bytesCopied} of ${sizeBytes} bytes)`;
  return message === "" ? known : `${known} (${message})`;
}
