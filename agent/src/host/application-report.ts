import {
  HostApplicationStatus,
  HostFailureReason,
  HostPhase,
  type HostFailure,
} from "@slipway/proto";
import type { FetchProgress } from "../swarm/types.js";
import type { ReleaseRecord, TransferRecord } from "./application-state.js";

/** Longest failure message that is reported, in characters. */
const MESSAGE_MAX = 4_096;

/** What is to be said of an application's goal, kept by whoever works on it. */
export class ProgressReport {
  readonly #onPhase: (phase: string, generation: number) => void;
  #generation = 0;
  #phase = HostPhase.PENDING;
  #phaseTime = new Date();
  #learnedAt = 0;
  #chosenAt = 0;
  #failure: HostFailure | undefined;
  #refusal: HostFailure | undefined;
  #chosen = false;

  constructor(onPhase: (phase: string, generation: number) => void) {
    this.#onPhase = onPhase;
  }

  /** A goal of this generation is what is spoken of from now on; it takes the host to switch, or not. */
  learn(generation: number, chosen: boolean): void {
    const known = this.#learnedAt !== 0 && this.#generation === generation;
    if (known && this.#chosen === chosen) return;
    const now = performance.now();
    this.#chosen = chosen;
    this.#chosenAt = now;
    if (known) {
      this.#onPhase(HostPhase[this.#phase], this.#generation);
      return;
    }
    this.#learnedAt = now;
    this.#failure = undefined;
    this.#generation = generation;
    this.#set(HostPhase.PENDING);
  }

  /** Whether the goal takes the host to switch. */
  get chosen(): boolean {
    return this.#chosen;
  }

  /** Milliseconds since the generation was learnt of. */
  get elapsedMs(): number {
    return performance.now() - this.#learnedAt;
  }

  /** Milliseconds since the generation was learnt to take the host to switch. */
  get chosenMs(): number {
    return performance.now() - this.#chosenAt;
  }

  /** Whether the last step was reached with a failure. */
  get failing(): boolean {
    return this.#failure !== undefined;
  }

  /** A step was reached; with a failure, if that is what it was reached with. */
  step(phase: HostPhase, failure?: HostFailure): void {
    if (phase === this.#phase && failure?.message === this.#failure?.message) return;
    this.#failure = failure;
    this.#set(phase);
  }

  /** A goal was refused, or with nothing, a good one has come. */
  refuse(refusal: HostFailure | undefined): void {
    if (this.#refusal?.message === refusal?.message) return;
    this.#refusal = refusal;
    this.#onPhase(HostPhase[this.#phase], this.#generation);
  }

  /** The key that signed what is obeyed holds, again perhaps. */
  admitKey(): void {
    if (this.#refusal?.reason === HostFailureReason.GOAL_KEY_NOT_TRUSTED) this.refuse(undefined);
  }

  /** The whole, with what is on the host. */
  status(
    application: string,
    { running, transfer, trouble, held, goalStale }: OnHost,
  ): HostApplicationStatus {
    return applicationStatus(application, {
      generation: this.#generation,
      phase: this.#phase,
      phaseTime: this.#phaseTime,
      chosen: this.#chosen,
      failure: this.#failure ?? trouble ?? this.#refusal,
      running,
      transfer,
      held,
      goalStale,
    });
  }

  #set(phase: HostPhase): void {
    if (phase !== this.#phase) this.#phaseTime = new Date();
    this.#phase = phase;
    this.#onPhase(HostPhase[phase], this.#generation);
  }
}

/** What a host has of an application, beside its goal. */
interface OnHost {
  running: ReleaseRecord | undefined;
  /** How the bytes of the goal's release came. */
  transfer: TransferRecord | undefined;
  /** What is wrong with what runs. */
  trouble: HostFailure | undefined;
  /** Digests of the artifacts that are whole here. */
  held: string[];
  /** The goal's time is over, by this host's clock. */
  goalStale: boolean;
}

interface Report extends Omit<OnHost, "trouble"> {
  generation: number;
  phase: HostPhase;
  phaseTime: Date;
  chosen: boolean;
  failure: HostFailure | undefined;
}

/** One application's part of a host's status. */
function applicationStatus(application: string, report: Report): HostApplicationStatus {
  const { running, transfer } = report;
  const current = transfer?.generation === report.generation ? transfer : undefined;
  return HostApplicationStatus.fromPartial({
    application,
    generation: report.generation,
    phase: report.phase,
    failure: report.failure,
    runningArtifactDigest: running?.release.artifactDigest ?? "",
    runningBuildId: running?.release.buildId ?? "",
    runningCommitSha: running?.release.commitSha ?? "",
    bytesDone: current?.bytesDone ?? 0,
    bytesTotal: current?.bytesTotal ?? 0,
    bytesFromPeers: current?.bytesFromPeers ?? 0,
    bytesFromSeeders: current?.bytesFromSeeders ?? 0,
    bytesFromLocal: current?.bytesFromLocal ?? 0,
    bytesFromReuse: current?.bytesFromReuse ?? 0,
    phaseTime: report.phaseTime,
    stageDurationMs: clampUint32(current?.stageDurationMs ?? 0),
    activateDurationMs: clampUint32(current?.activateDurationMs ?? 0),
    heldArtifactDigests: report.held,
    chosen: report.chosen,
    goalStale: report.goalStale,
  });
}

/** A failure with a message of bounded length: its beginning and its end. */
export function hostFailure(reason: HostFailureReason, message: string): HostFailure {
  const half = MESSAGE_MAX / 2;
  return {
    reason,
    message:
      message.length <= MESSAGE_MAX ? message : `${message.slice(0, half)}…${message.slice(-half)}`,
  };
}

/** What a download in progress means for its transfer. */
export function transferSoFar(progress: FetchProgress): Partial<TransferRecord> {
  return {
    bytesDone: progress.bytesDone,
    bytesTotal: progress.total,
    bytesFromPeers: progress.fromPeers,
    bytesFromSeeders: progress.fromSeeders,
    bytesFromLocal: progress.fromLocal,
    bytesFromReuse: progress.fromReuse,
  };
}

/** The transfer of a release whose bytes are all here already. */
export function localTransfer(generation: number, sizeBytes: number): TransferRecord {
  return {
    generation,
    bytesDone: sizeBytes,
    bytesTotal: sizeBytes,
    bytesFromPeers: 0,
    bytesFromSeeders: 0,
    bytesFromLocal: sizeBytes,
    bytesFromReuse: 0,
    stageDurationMs: 0,
    activateDurationMs: 0,
  };
}

function clampUint32(value: number): number {
  return Math.min(0xff_ff_ff_ff, Math.max(0, Math.round(value)));
}
