import {
  HostFailureReason,
  HostPhase,
  type HostFailureSample,
  type RegionApplicationStatus,
  type RegionProgress,
} from "@slipway/proto";
import type { DeploymentEvent } from "./transition.js";

/** What a running deployment is judged by. */
export interface Evidence {
  /** One for each region of the deployment; status only of the deployment's own generation. */
  regions: readonly RegionProgress[];
  /** Enrolled hosts that the selector takes, by region: the denominator. */
  enrolled: ReadonlyMap<string, number>;
  /** Whether the deadline has passed. */
  overdue: boolean;
  /** Why the goal could not be published, if it could not. */
  unpublished: string | undefined;
}

/** Hosts of one region by what they still owe. They add up to total. */
export interface RegionTally {
  region: string;
  total: number;
  running: number;
  failed: number;
  silent: number;
  /** Neither running, failed nor silent. */
  onTheirWay: number;
  /** Whether its counts can be judged by. */
  reported: boolean;
}

const MESSAGE_HOSTS = 3;
const MAX_HOST_MESSAGE = 200;

/** Decides whether a running deployment has ended; undefined while it has not. */
export function judge(evidence: Evidence): DeploymentEvent | undefined {
  const tallies = evidence.regions.map((progress) =>
    tally(progress, evidence.enrolled.get(progress.region) ?? 0),
  );
  const sum = (key: "total" | "running" | "failed"): number =>
    tallies.reduce((all, region) => all + region[key], 0);
  const reported = tallies.every((region) => region.reported);
  const total = sum("total");
  const failed = sum("failed");
  if (reported && total > 0 && sum("running") === total) return { type: "arrived" };
  if (reported && failed > 0 && sum("running") + failed === total) {
    const message = `${failed} of ${total} hosts failed${samples(evidence.regions)}`;
    return { type: "failed", failure: { reason: "HOSTS_FAILED", message } };
  }
  if (!evidence.overdue) return undefined;
  const message = overdueMessage(tallies, evidence);
  return { type: "failed", failure: { reason: "DEADLINE_EXCEEDED", message } };
}

/** Counts a region's hosts, the enrolled ones that its agents do not speak of as silent. */
export function tally(progress: RegionProgress, enrolled: number): RegionTally {
  const { region, status } = progress;
  const live = !progress.silent && !progress.warming;
  if (status === undefined || !live) {
    // A region without hosts owes nothing but a living agent.
    const reported = live && enrolled === 0;
    return {
      region,
      total: enrolled,
      running: 0,
      failed: 0,
      silent: enrolled,
      onTheirWay: 0,
      reported,
    };
  }
  const total = Math.max(status.hostCount, enrolled);
  // An agent may count a silent host under its last phase as well. Silence goes first, and what is
  // left is shared out, so that the sum stays the total.
  const silent = Math.min(total, status.silentCount + (total - status.hostCount));
  const failed = Math.min(count(status, HostPhase.FAILED), total - silent);
  const running = Math.min(count(status, HostPhase.RUNNING), total - silent - failed);
  const onTheirWay = total - silent - failed - running;
  return { region, total, running, failed, silent, onTheirWay, reported: true };
}

function count(status: RegionApplicationStatus, phase: HostPhase): number {
  return status.phases.reduce((all, item) => all + (item.phase === phase ? item.count : 0), 0);
}

function overdueMessage(tallies: readonly RegionTally[], evidence: Evidence): string {
  if (evidence.unpublished !== undefined) {
    return `not done by the deadline: ${evidence.unpublished}`;
  }
  const missing = evidence.regions.flatMap((progress, index) => {
    const region = tallies[index];
    if (region === undefined || (region.reported && region.running === region.total)) return [];
    return [`; ${progress.region}: ${owed(progress, region)}`];
  });
  const total = tallies.reduce((all, region) => all + region.total, 0);
  const running = tallies.reduce((all, region) => all + region.running, 0);
  const summary = `${running} of ${total} hosts run it at the deadline`;
  return `${summary}${missing.join("")}${samples(evidence.regions)}`;
}

function owed({ silent, warming, status }: RegionProgress, region: RegionTally): string {
  if (silent) return `no region agent heard of (${region.total} hosts)`;
  if (warming) return `the region agents are warming up (${region.total} hosts)`;
  if (status === undefined) return `the goal was not counted (${region.total} hosts)`;
  const phases = [
    ["pending", HostPhase.PENDING],
    ["staging", HostPhase.STAGING],
    ["staged", HostPhase.STAGED],
    ["activating", HostPhase.ACTIVATING],
    ["held", HostPhase.HELD],
    ["failed", HostPhase.FAILED],
  ] as const;
  const counts = phases.map(([name, phase]) => [name, count(status, phase)] as const);
  const named = [...counts, ["silent", region.silent] as const].filter(([, hosts]) => hosts > 0);
  if (named.length === 0) return `${region.onTheirWay} not running`;
  return named.map(([name, hosts]) => `${hosts} ${name}`).join(", ");
}

/** Up to 3 failed hosts with what they say, as the end of a sentence. */
function samples(regions: readonly RegionProgress[]): string {
  const failures = regions.flatMap(({ status }) => status?.failures ?? []).slice(0, MESSAGE_HOSTS);
  return failures.length === 0 ? "" : `: ${failures.map(sample).join("; ")}`;
}

function sample({ hostId, failure }: HostFailureSample): string {
  const reason = HostFailureReason[failure?.reason ?? HostFailureReason.UNSPECIFIED];
  const message = (failure?.message ?? "").slice(0, MAX_HOST_MESSAGE);
  return message === "" ? `${hostId} (${reason})` : `${hostId} (${reason}: ${message})`;
}
