import { HostFailureReason, HostPhase, type HostFailureSample } from "@slipway/proto";
import type { RegionTally } from "./tally.js";

const MESSAGE_HOSTS = 3;
const MAX_HOST_MESSAGE = 200;

/** Who lacks the bytes, region by region. */
export function describeStaging(regions: readonly RegionTally[]): string {
  const told = regions.map((tally) => {
    return `${tally.region}: ${uncounted(tally) ?? `${tally.unstaged} of ${tally.hostCount} hosts`}`;
  });
  return told.join("; ");
}

/** What those are at that were told to switch, region by region. */
export function describeSwitching(regions: readonly RegionTally[]): string {
  return regions.map((tally) => `${tally.region}: ${uncounted(tally) ?? phases(tally)}`).join("; ");
}

function uncounted({ heard, counted, hostCount }: RegionTally): string | undefined {
  if (heard === "silent") return `no region agent heard of (${hostCount} hosts)`;
  if (heard === "warming") return `the region agents are warming up (${hostCount} hosts)`;
  return counted ? undefined : `not all of its ${hostCount} hosts are counted`;
}

function phases({ status, chosen, chosenSilent }: RegionTally): string {
  const names = [
    ["running", HostPhase.RUNNING],
    ["pending", HostPhase.PENDING],
    ["staging", HostPhase.STAGING],
    ["staged", HostPhase.STAGED],
    ["held", HostPhase.HELD],
    ["activating", HostPhase.ACTIVATING],
    ["failed", HostPhase.FAILED],
  ] as const;
  const counts = names.map(([name, phase]) => {
    const of = status?.chosenPhases.filter((item) => item.phase === phase) ?? [];
    return [name, of.reduce((all, { count }) => all + count, 0)] as const;
  });
  const named = [...counts, ["silent", chosenSilent] as const].filter(([, hosts]) => hosts > 0);
  const list = named.map(([name, hosts]) => `${hosts} ${name}`).join(", ");
  return `of ${chosen} told to switch ${list === "" ? "none is heard of" : list}`;
}

/** Up to 3 failed hosts with what they say, as the end of a sentence. */
export function samples(regions: readonly RegionTally[]): string {
  const failures = regions.flatMap(({ status }) => status?.failures ?? []).slice(0, MESSAGE_HOSTS);
  return failures.length === 0 ? "" : `: ${failures.map(sample).join("; ")}`;
}

function sample({ hostId, failure }: HostFailureSample): string {
  const reason = HostFailureReason[failure?.reason ?? HostFailureReason.UNSPECIFIED];
  // What hosts say, quoted from what releases print: Postgres takes no text with a NUL in it.
  const message = (failure?.message ?? "").slice(0, MAX_HOST_MESSAGE).replaceAll("\0", "\uFFFD");
  const host = hostId.slice(0, MAX_HOST_MESSAGE).replaceAll("\0", "\uFFFD");
  return message === "" ? `${host} (${reason})` : `${host} (${reason}: ${message})`;
}
