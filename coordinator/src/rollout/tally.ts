import { HostPhase, type RegionApplicationStatus } from "@slipway/proto";
import { dueRegions, limitOf, type Snapshot } from "./snapshot.js";

/** What is known of one region of a deployment. */
export interface RegionEvidence {
  region: string;
  heard: "live" | "warming" | "silent";
  /** Its agents say that they do not reach its NATS: since when. */
  natsAwaySince?: Date | undefined;
  /** Of the deployment's own generation. */
  status: RegionApplicationStatus | undefined;
  /** Enrolled hosts that the selector takes, by the database: the denominator. */
  enrolled: number;
  /** Its store holds the artifact. */
  replicated: boolean;
}

/** A region's hosts by what they still owe. */
export interface RegionTally {
  region: string;
  heard: RegionEvidence["heard"];
  natsAwaySince: Date | undefined;
  /** Whether its counts can be judged by: every enrolled host is in them, and an agent lives. */
  counted: boolean;
  replicated: boolean;
  hostCount: number;
  /** Neither silent nor with the bytes. */
  unstaged: number;
  silent: number;
  /** The limit by which those below were counted. */
  limit: number;
  chosen: number;
  chosenSilent: number;
  failed: number;
  onTheWay: number;
  nextBucket: number;
  status: RegionApplicationStatus | undefined;
}

/** Counts one region. Failed hosts are those, too, that run and keep exiting. */
export function tally({
  region,
  heard,
  natsAwaySince,
  status,
  enrolled,
  replicated,
}: RegionEvidence): RegionTally {
  const usable = heard === "live" ? status : undefined;
  const chosen = usable?.chosenCount ?? 0;
  const failed = countOf(usable, HostPhase.FAILED) + (usable?.chosenUnsteadyCount ?? 0);
  return {
    region,
    heard,
    natsAwaySince,
    // A region without hosts owes nothing, and may have no agent yet.
    counted: enrolled === 0 || (usable !== undefined && usable.hostCount >= enrolled),
    replicated,
    hostCount: Math.max(usable?.hostCount ?? 0, enrolled),
    unstaged: usable?.unstagedCount ?? enrolled,
    silent: usable?.silentCount ?? 0,
    limit: usable?.bucketLimit ?? 0,
    chosen,
    chosenSilent: Math.min(chosen, usable?.chosenSilentCount ?? 0),
    failed: Math.min(chosen, failed),
    onTheWay: usable?.chosenUnsettledCount ?? 0,
    nextBucket: usable?.nextBucket ?? 0,
    status: usable,
  };
}

/** The sum of a count over regions. */
export function total(
  tallies: readonly RegionTally[],
  count: "hostCount" | "chosen" | "chosenSilent" | "failed" | "onTheWay",
): number {
  return tallies.reduce((all, region) => all + region[count], 0);
}

/** The regions that are to switch in the present step. */
export function stepOf(snapshot: Snapshot, tallies: readonly RegionTally[]): RegionTally[] {
  const own = dueRegions(snapshot);
  return tallies.filter(({ region }) => own.includes(region));
}

/** The regions in which hosts were told to switch. */
export function toldOf(snapshot: Snapshot, tallies: readonly RegionTally[]): RegionTally[] {
  return tallies.filter(({ region }) => limitOf(snapshot, region) > 0);
}

/** How many of the hosts so many percent are. */
export function budget(hosts: number, percent: number): number {
  return Math.floor((hosts * percent) / 100);
}

function countOf(status: RegionApplicationStatus | undefined, phase: HostPhase): number {
  const of = status?.chosenPhases.filter((item) => item.phase === phase) ?? [];
  return of.reduce((all, { count }) => all + count, 0);
}
