import type { RegionProgress } from "@slipway/proto";
import { hostFailureText } from "./names.js";

/** Failures of hosts that a display shows, of each region. */
const FAILURES_SHOWN = 3;
/** Slowest hosts that a display names, of all regions together. */
const SLOWEST_SHOWN = 5;

/** Which hosts failed and why, a line each. Not yet safe for a terminal. */
export function failureLines(regions: readonly RegionProgress[]): string[] {
  return regions.flatMap(({ region, status }) =>
    (status?.failures ?? []).slice(0, FAILURES_SHOWN).map(({ hostId, failure }) => {
      return `${region} ${hostId}: ${failure ? hostFailureText(failure) : "failed"}`;
    }),
  );
}

/** "slowest: h3, h9", of hosts that still fetch; empty if none do. Not yet safe for a terminal. */
export function slowestLine(regions: readonly RegionProgress[]): string {
  const hosts = regions
    .filter(({ status }) => status !== undefined && status.bytesDone < status.bytesTotal)
    .flatMap(({ status }) => status?.slowestHosts ?? []);
  return hosts.length === 0 ? "" : `slowest: ${hosts.slice(0, SLOWEST_SHOWN).join(", ")}`;
}
