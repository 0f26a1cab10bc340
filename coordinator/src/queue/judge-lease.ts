import { BuildFailureReason } from "@slipway/proto";
import type { LeaseKey, LeaseState } from "./queue.js";

/** What a build's row says about who holds it. */
export interface LeaseRow {
  id: string;
  status: "QUEUED" | "RUNNING" | "SUCCEEDED" | "FAILED";
  attempt: number;
  builder_id: string | null;
  failure_reason: number | null;
  artifact_digest: string | null;
}

/** Whether a lease is held, and if not, how it was lost. */
export function judgeLease(lease: LeaseKey, row: LeaseRow | undefined): LeaseState {
  if (row === undefined || row.attempt < lease.attempt) return "unknown";
  if (row.attempt > lease.attempt) return "superseded";
  // Queued again after this attempt, with no builder yet.
  if (row.status === "QUEUED") return "superseded";
  if (row.builder_id !== lease.builderId) return "unknown";
  if (row.status === "RUNNING") return "held";
  const reason = row.failure_reason as BuildFailureReason | null;
  return reason === BuildFailureReason.CANCELLED ? "cancelled" : "superseded";
}

/** The same, but a lease that was held until the build's end is told from one that was lost. */
export function judgeEnded(lease: LeaseKey, row: LeaseRow | undefined): LeaseState | "ended" {
  const state = judgeLease(lease, row);
  return state === "superseded" && row !== undefined && isOf(lease, row) && row.status !== "QUEUED"
    ? "ended"
    : state;
}

/** The same completion may be said twice: the first answer may have been lost. */
export function judgeCompletion(
  lease: LeaseKey,
  digest: string,
  row: LeaseRow | undefined,
): LeaseState {
  const same = row?.status === "SUCCEEDED" && isOf(lease, row) && row.artifact_digest === digest;
  return same ? "held" : lost(lease, row);
}

/** The same failure may be said twice as well. */
export function judgeFailure(
  lease: LeaseKey,
  { reason, retry }: { reason: BuildFailureReason; retry: boolean },
  row: LeaseRow | undefined,
): LeaseState {
  if (row === undefined) return "unknown";
  const requeued = retry && row.status === "QUEUED" && row.attempt === lease.attempt;
  const expected = retry ? BuildFailureReason.ATTEMPTS_EXHAUSTED : reason;
  const failed =
    row.status === "FAILED" &&
    isOf(lease, row) &&
    (row.failure_reason as BuildFailureReason | null) === expected;
  return requeued || failed ? "held" : lost(lease, row);
}

/** A statement that should have ended the lease did not: whatever the row says, it is not done. */
function lost(lease: LeaseKey, row: LeaseRow | undefined): LeaseState {
  const state = judgeLease(lease, row);
  return state === "held" ? "unknown" : state;
}

function isOf(lease: LeaseKey, row: LeaseRow): boolean {
  return row.attempt === lease.attempt && row.builder_id === lease.builderId;
}
