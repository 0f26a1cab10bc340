import {
  HostFailureReason,
  HostPhase,
  type EnrolledHost,
  type Goal,
  type HostApplicationStatus,
  type HostFailure,
  type HostFailureSample,
  type PhaseCount,
  type RunningCount,
} from "@slipway/proto";
import { selectorTakes } from "../host/choose.js";

/** A host that has not been heard of for so long is silent, in ms. */
const SILENT_MS = 30_000;
const MAX_FAILURES = 10;
const MAX_SLOWEST = 5;
const MAX_RUNNING = 10;

/** What the region knows of an enrolled host. */
export interface KnownHost {
  enrolment: EnrolledHost;
  /** Milliseconds on the clock that `now` is of; undefined if never heard. */
  heardAt: number | undefined;
  applications: ReadonlyMap<string, HostApplicationStatus>;
}

/** What one application's hosts come to: RegionApplicationStatus without who says it and when. */
export interface ApplicationAggregate {
  application: string;
  generation: number;
  hostCount: number;
  phases: PhaseCount[];
  silentCount: number;
  bytesDone: number;
  bytesTotal: number;
  bytesFromPeers: number;
  bytesFromSeeders: number;
  bytesFromLocal: number;
  bytesFromReuse: number;
  failures: HostFailureSample[];
  slowestHosts: string[];
  running: RunningCount[];
}

const SETTLED = new Set([HostPhase.RUNNING, HostPhase.FAILED, HostPhase.HELD]);

/** Counts the enrolled hosts that the goal takes. A host at another generation is PENDING. */
export function aggregateApplication(
  goal: Goal,
  hosts: Iterable<KnownHost>,
  now: number,
): ApplicationAggregate {
  const size = goal.run?.artifactSizeBytes ?? 0;
  const phases = new Map<HostPhase, number>();
  const running = new Map<string, number>();
  const failures: HostFailureSample[] = [];
  const unsettled: { hostId: string; share: number }[] = [];
  const total = { hosts: 0, silent: 0, done: 0, all: 0, peers: 0, seeders: 0, local: 0, reuse: 0 };
  for (const host of hosts) {
    const { hostId, labels } = host.enrolment;
    if (!selectorTakes(goal.selector, labels)) continue;
    total.hosts += 1;
    if (isSilent(host, now)) total.silent += 1;
    const said = host.applications.get(goal.application);
    const current = said?.generation === goal.generation ? said : undefined;
    const phase = current?.phase ?? HostPhase.PENDING;
    phases.set(phase, (phases.get(phase) ?? 0) + 1);
    const bytes = current?.bytesTotal ? current.bytesTotal : phase === HostPhase.HELD ? 0 : size;
    total.all += bytes;
    total.done += current?.bytesDone ?? 0;
    total.peers += current?.bytesFromPeers ?? 0;
    total.seeders += current?.bytesFromSeeders ?? 0;
    total.local += current?.bytesFromLocal ?? 0;
    total.reuse += current?.bytesFromReuse ?? 0;
    if (said !== undefined && said.runningBuildId !== "") {
      running.set(said.runningBuildId, (running.get(said.runningBuildId) ?? 0) + 1);
    }
    const failure = current?.failure ?? refusal(said);
    if (failure !== undefined && failures.length < MAX_FAILURES) {
      failures.push({ hostId, failure });
    }
    if (!SETTLED.has(phase)) {
      unsettled.push({ hostId, share: bytes === 0 ? 0 : (current?.bytesDone ?? 0) / bytes });
    }
  }
  return {
    application: goal.application,
    generation: goal.generation,
    hostCount: total.hosts,
    phases: [...phases].sort(([a], [b]) => a - b).map(([phase, count]) => ({ phase, count })),
    silentCount: total.silent,
    bytesDone: total.done,
    bytesTotal: total.all,
    bytesFromPeers: total.peers,
    bytesFromSeeders: total.seeders,
    bytesFromLocal: total.local,
    bytesFromReuse: total.reuse,
    failures,
    slowestHosts: unsettled
      .sort((a, b) => a.share - b.share || (a.hostId < b.hostId ? -1 : 1))
      .slice(0, MAX_SLOWEST)
      .map(({ hostId }) => hostId),
    running: [...running]
      .sort(([a, countA], [b, countB]) => countB - countA || (a < b ? -1 : 1))
      .slice(0, MAX_RUNNING)
      .map(([buildId, count]) => ({ buildId, count })),
  };
}

/** Why a host does not obey the present goal: it says so at the generation that it last obeyed. */
function refusal(said: HostApplicationStatus | undefined): HostFailure | undefined {
  const { GOAL_REFUSED } = HostFailureReason;
  return said?.failure?.reason === GOAL_REFUSED ? said.failure : undefined;
}

/** Whether a host has not been heard of for too long. */
export function isSilent(host: KnownHost, now: number): boolean {
  return host.heardAt === undefined || now - host.heardAt > SILENT_MS;
}

/** The highest generations that hosts speak of and that are above the goals', or have none. */
export function generationsAhead(
  goals: ReadonlyMap<string, Goal>,
  hosts: Iterable<KnownHost>,
): { application: string; generation: number }[] {
  const ahead = new Map<string, number>();
  for (const { applications } of hosts) {
    for (const { application, generation } of applications.values()) {
      const known = Math.max(goals.get(application)?.generation ?? 0, ahead.get(application) ?? 0);
      if (generation > known) ahead.set(application, generation);
    }
  }
  return [...ahead].map(([application, generation]) => ({ application, generation }));
}
