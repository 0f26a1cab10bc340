import {
  HostApplicationStatus,
  HostPhase,
  type HostFailure,
  type HostFailureReason,
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
  #failure: HostFailure | undefined;
  #refusal: HostFailure | undefined;
  /** The host is outside the goal's percentage: whatever it does, it is held. */
  held = false;

  constructor(onPhase: (phase: string, generation: number) => void) {
    this.#onPhase = onPhase;
  }

  /** A goal of this generation is what is spoken of from now on. */
  learn(generation: number): void {
    if (this.#learnedAt !== 0 && this.#generation === generation) return;
    this.#learnedAt = performance.now();
    this.#failure = undefined;
    this.#generation = generation;
    this.held = false;
    this.#set(HostPhase.PENDING);
  }

  /** Milliseconds since the generation was learnt of. */
  get elapsedMs(): number {
    return performance.now() - this.#learnedAt;
  }

  /** Whether the last step was reached with a failure. */
  get failing(): boolean {
    return this.#failure !== undefined;
  }

  /** A step was reached; with a failure, if that is what it was reached with. */
  step(phase: HostPhase, failure?: HostFailure): void {
    const shown = this.held ? HostPhase.HELD : phase;
    if (shown === this.#phase && failure?.message === this.#failure?.message) return;
    this.#failure = failure;
    this.#set(shown);
  }

  /** A goal was refused, or with nothing, a good one has come. */
  refuse(refusal: HostFailure | undefined): void {
    if (this.#refusal?.message === refusal?.message) return;
    this.#refusal = refusal;
    this.#onPhase(HostPhase[this.#phase], this.#generation);
  }

  /** The whole, with what runs and how its bytes came. */
  status(
    application: string,
    running: ReleaseRecord | undefined,
    transfer: TransferRecord | undefined,
    trouble: HostFailure | undefined,
  ): HostApplicationStatus {
    return applicationStatus(application, {
      generation: this.#generation,
      phase: this.#phase,
      phaseTime: this.#phaseTime,
      failure: this.#failure ?? this.#refusal ?? trouble,
      running,
      transfer,
    });
  }

  #set(phase: HostPhase): void {
    if (phase !== this.#phase) this.#phaseTime = new Date();
    this.#phase = phase;
    this.#onPhase(HostPhase[phase], this.#generation);
  }
}

interface Report {
  generation: number;
  phase: HostPhase;
  phaseTime: Date;
  failure: HostFailure | undefined;
  running: ReleaseRecord | undefined;
  transfer: TransferRecord | undefined;
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
