import {
  HostApplicationStatus,
  type HostPhase,
  type HostFailure,
  type HostFailureReason,
} from "@slipway/proto";
import type { ReleaseRecord, TransferRecord } from "./application-state.js";

/** Longest failure message that is reported, in characters. */
const MESSAGE_MAX = 4_096;

/** What an application's status is made of. */
export interface Report {
  generation: number;
  phase: HostPhase;
  phaseTime: Date;
  failure: HostFailure | undefined;
  /** A goal was refused since the last good one. */
  refusal: HostFailure | undefined;
  running: ReleaseRecord | undefined;
  transfer: TransferRecord | undefined;
}

/** One application's part of a host's status. */
export function applicationStatus(application: string, report: Report): HostApplicationStatus {
  const { running, transfer } = report;
  const current = transfer?.generation === report.generation ? transfer : undefined;
  return HostApplicationStatus.fromPartial({
    application,
    generation: report.generation,
    phase: report.phase,
    failure: report.failure ?? report.refusal,
    runningArtifactDigest: running?.release.artifactDigest ?? "",
    runningBuildId: running?.release.buildId ?? "",
    runningCommitSha: running?.release.commitSha ?? "",
    bytesDone: current?.bytesDone ?? 0,
    bytesTotal: current?.bytesTotal ?? 0,
    bytesFromPeers: current?.bytesFromPeers ?? 0,
    bytesFromSeeders: current?.bytesFromSeeders ?? 0,
    bytesFromLocal: current?.bytesFromLocal ?? 0,
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

/** The transfer of a release whose bytes are all here already. */
export function localTransfer(generation: number, sizeBytes: number): TransferRecord {
  return {
    generation,
    bytesDone: sizeBytes,
    bytesTotal: sizeBytes,
    bytesFromPeers: 0,
    bytesFromSeeders: 0,
    bytesFromLocal: sizeBytes,
    stageDurationMs: 0,
    activateDurationMs: 0,
  };
}

function clampUint32(value: number): number {
  return Math.min(0xff_ff_ff_ff, Math.max(0, Math.round(value)));
}
