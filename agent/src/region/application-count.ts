import {
  HOST_BUCKETS,
  HostFailureReason,
  HostPhase,
  type Goal,
  type HostApplicationStatus,
  type HostFailure,
  type RegionApplicationStatus,
} from "@slipway/proto";
import { hostBucket, selectorTakes } from "../host/choose.js";
import type { KnownHost } from "./known-host.js";
import { leastOf, Tally } from "./tally.js";

const MAX_FAILURES = 10;
const MAX_SLOWEST = 5;
const MAX_RUNNING = 10;

/** What one application's hosts come to: RegionApplicationStatus without who says it and when. */
export type ApplicationAggregate = Omit<
  RegionApplicationStatus,
  "region" | "agentId" | "time" | "bytesPerSecond" | "leaderTerm"
>;

/** What was counted of a host, to be taken back when it says something else. */
interface Counted {
  hostId: string;
  bucket: number;
  silent: boolean;
  said: HostApplicationStatus | undefined;
}

const { HELD, STAGED, ACTIVATING, RUNNING, FAILED, PENDING } = HostPhase;
const SETTLED: ReadonlySet<HostPhase> = new Set([RUNNING, FAILED, HELD]);
const WITH_BYTES: ReadonlySet<HostPhase> = new Set([HELD, STAGED, ACTIVATING, RUNNING]);
/** The bucket of hosts of a goal that takes all of them: nobody asks for it. */
const ANY_BUCKET = 0;

/**
 * Counts the enrolled hosts that one goal takes, as they change: a host costs what it costs, however
 * many there are. A host at another generation is PENDING.
 */
export class ApplicationCount {
  readonly goal: Goal;
  readonly #hosts = new Map<string, Counted>();
  readonly #phases = new Tally<HostPhase>();
  readonly #chosenPhases = new Tally<HostPhase>();
  readonly #running = new Tally<string>();
  readonly #failures = new Map<string, HostFailure>();
  /** Host → its share of the bytes. */
  readonly #behind = new Map<string, number>();
  /** Hosts of each bucket; only of a goal that does not take all of them. */
  readonly #buckets: Uint32Array | undefined;
  readonly #total = {
    silentCount: 0,
    bytesDone: 0,
    bytesTotal: 0,
    bytesFromPeers: 0,
    bytesFromSeeders: 0,
    bytesFromLocal: 0,
    bytesFromReuse: 0,
    chosenCount: 0,
    chosenSilentCount: 0,
    chosenUnsteadyCount: 0,
    chosenUnsettledCount: 0,
    stagedCount: 0,
    unstagedCount: 0,
    staleCount: 0,
  };
  #changed = true;

  /** @param before - The count by an earlier goal, which may know the hosts' buckets already. */
  constructor(goal: Goal, hosts: Iterable<KnownHost>, before?: ApplicationCount) {
    this.goal = goal;
    this.#buckets = goal.bucketLimit < HOST_BUCKETS ? new Uint32Array(HOST_BUCKETS) : undefined;
    const known = before?.goal.deploymentId === goal.deploymentId ? before : undefined;
    for (const host of hosts) this.#put(host, known?.bucketOf(host.enrolment.hostId));
  }

  /** Counts a host as it is now. */
  update(host: KnownHost): void {
    const bucket = this.bucketOf(host.enrolment.hostId);
    this.delete(host.enrolment.hostId);
    this.#put(host, bucket);
  }

  /** The host is not to be counted any more. */
  delete(hostId: string): void {
    const counted = this.#hosts.get(hostId);
    if (counted === undefined) return;
    this.#hosts.delete(hostId);
    this.#add(counted, -1);
  }

  /** Whether it has changed since this was last asked. */
  takeChanged(): boolean {
    const changed = this.#changed;
    this.#changed = false;
    return changed;
  }

  aggregate(): ApplicationAggregate {
    const { application, generation, bucketLimit } = this.goal;
    return {
      ...this.#total,
      application,
      generation,
      bucketLimit,
      hostCount: this.#hosts.size,
      phases: phaseCounts(this.#phases),
      chosenPhases: phaseCounts(this.#chosenPhases),
      nextBucket: this.#nextBucket(),
      failures: [...take(this.#failures, MAX_FAILURES)].map(([hostId, failure]) => ({
        hostId,
        failure,
      })),
      slowestHosts: leastOf(this.#behind, MAX_SLOWEST),
      running: [...this.#running]
        .sort(([a, countA], [b, countB]) => countB - countA || (a < b ? -1 : 1))
        .slice(0, MAX_RUNNING)
        .map(([buildId, count]) => ({ buildId, count })),
    };
  }

  /** The host's bucket, if that is known. */
  bucketOf(hostId: string): number | undefined {
    return this.#buckets && this.#hosts.get(hostId)?.bucket;
  }

  #put(host: KnownHost, bucket: number | undefined): void {
    const { application, deploymentId, selector } = this.goal;
    const { hostId, labels } = host.enrolment;
    if (!host.enrolled || !selectorTakes(selector, labels)) return;
    const counted: Counted = {
      hostId,
      bucket: this.#buckets ? (bucket ?? hostBucket(hostId, deploymentId)) : ANY_BUCKET,
      silent: host.silent,
      said: host.applications.get(application),
    };
    this.#hosts.set(hostId, counted);
    this.#add(counted, 1);
  }

  #add({ hostId, bucket, silent, said }: Counted, by: 1 | -1): void {
    this.#changed = true;
    const { generation, run, removed, bucketLimit } = this.goal;
    const total = this.#total;
    const current = said?.generation === generation ? said : undefined;
    const phase = current?.phase ?? PENDING;
    // Who says nothing of an application that was removed has done all there was to do.
    if (!removed || said !== undefined) this.#phases.add(phase, by);
    if (silent) total.silentCount += by;
    if (said?.goalStale === true) total.staleCount += by;
    this.#addBytes(hostId, current, by);
    if (said !== undefined && said.runningBuildId !== "")
      this.#running.add(said.runningBuildId, by);
    const failure = current?.failure ?? refusal(said);
    if (failure !== undefined && by === 1) this.#failures.set(hostId, failure);
    else this.#failures.delete(hostId);
    const digest = run?.artifactDigest ?? "";
    const staged = WITH_BYTES.has(phase) || said?.heldArtifactDigests.includes(digest) === true;
    if (staged) total.stagedCount += by;
    else if (!silent) total.unstagedCount += by;
    if (this.#buckets) this.#buckets[bucket] = (this.#buckets[bucket] ?? 0) + by;
    if (this.#buckets && bucket >= bucketLimit) return;
    total.chosenCount += by;
    this.#chosenPhases.add(phase, by);
    if (silent) total.chosenSilentCount += by;
    else if (phase !== RUNNING && phase !== FAILED) total.chosenUnsettledCount += by;
    // That a goal was refused, forged perhaps, says nothing of what runs.
    if (phase === RUNNING && failure !== undefined && !isRefusal(failure)) {
      total.chosenUnsteadyCount += by;
    }
  }

  #addBytes(hostId: string, said: HostApplicationStatus | undefined, by: 1 | -1): void {
    const total = this.#total;
    const phase = said?.phase ?? PENDING;
    const size = phase === HELD ? 0 : (this.goal.run?.artifactSizeBytes ?? 0);
    const bytes = said?.bytesTotal ? said.bytesTotal : size;
    total.bytesTotal += by * bytes;
    if (said !== undefined) {
      total.bytesDone += by * said.bytesDone;
      total.bytesFromPeers += by * said.bytesFromPeers;
      total.bytesFromSeeders += by * said.bytesFromSeeders;
      total.bytesFromLocal += by * said.bytesFromLocal;
      total.bytesFromReuse += by * said.bytesFromReuse;
    }
    const behind = by === 1 && !this.goal.removed && !SETTLED.has(phase);
    if (behind) this.#behind.set(hostId, bytes === 0 ? 0 : (said?.bytesDone ?? 0) / bytes);
    else this.#behind.delete(hostId);
  }

  #nextBucket(): number {
    const found = this.#buckets?.findIndex(
      (hosts, bucket) => hosts > 0 && bucket >= this.goal.bucketLimit,
    );
    return found === undefined || found < 0 ? HOST_BUCKETS : found;
  }
}

function phaseCounts(tally: Tally<HostPhase>): { phase: HostPhase; count: number }[] {
  return [...tally].sort(([a], [b]) => a - b).map(([phase, count]) => ({ phase, count }));
}

/** Why a host does not obey the present goal: it says so at the generation that it last obeyed. */
function refusal(said: HostApplicationStatus | undefined): HostFailure | undefined {
  return isRefusal(said?.failure) ? said?.failure : undefined;
}

function isRefusal(failure: HostFailure | undefined): boolean {
  const { GOAL_REFUSED, GOAL_KEY_NOT_TRUSTED } = HostFailureReason;
  return failure?.reason === GOAL_REFUSED || failure?.reason === GOAL_KEY_NOT_TRUSTED;
}

function* take<T>(items: Iterable<T>, max: number): Generator<T> {
  let left = max;
  for (const item of items) {
    if (left === 0) return;
    left -= 1;
    yield item;
  }
}
