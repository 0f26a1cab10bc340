/** A state as the table says it. */
export type StoredState = "PENDING" | "COPYING" | "COMPLETE" | "FAILED";

/** What is known of an artifact in a region. */
export interface PresentReplication {
  state: StoredState;
  bytesCopied: number;
  sizeBytes: number;
  message: string;
  /** In a row. */
  failures: number;
}

export interface NextReplication extends Omit<PresentReplication, "sizeBytes"> {
  /** Set when the region is to be told of the artifact again, after so long. */
  offerAgainAfterMs: number | undefined;
}

const FIRST_DELAY_MS = 2_000;
const MAX_DELAY_MS = 60_000;

/**
 * What a region's report makes of what is known; undefined if nothing changes. COMPLETE lapses only
 * when the region says that it lost the artifact (PENDING or FAILED): another agent of the region
 * may still be copying.
 */
export function nextReplication(
  present: PresentReplication,
  report: Pick<PresentReplication, "state" | "bytesCopied" | "message">,
): NextReplication | undefined {
  const { state, message } = report;
  const { failures, sizeBytes } = present;
  const isComplete = present.state === "COMPLETE";
  let bytesCopied = Math.min(sizeBytes, report.bytesCopied);
  let offerAgainAfterMs: number | undefined;
  if (state === "FAILED") {
    offerAgainAfterMs = offerDelayMs(failures + 1);
    return { state, bytesCopied, message, failures: failures + 1, offerAgainAfterMs };
  }
  if (state === "COMPLETE") {
    if (isComplete) return undefined;
    return { state, bytesCopied: sizeBytes, message: "", failures: 0, offerAgainAfterMs };
  }
  if (state === "COPYING") {
    if (isComplete) return undefined;
    // Two agents of a region may both copy: what counts is who is ahead.
    if (present.state === "COPYING") bytesCopied = Math.max(present.bytesCopied, bytesCopied);
  }
  const same =
    present.state === state && present.bytesCopied === bytesCopied && present.message === message;
  if (same) return undefined;
  if (isComplete) offerAgainAfterMs = 0;
  return { state, bytesCopied, message, failures, offerAgainAfterMs };
}

/** How long after so many failures in a row a region is told of an artifact again. */
function offerDelayMs(failures: number): number {
  const delay = Math.min(MAX_DELAY_MS, FIRST_DELAY_MS * 2 ** Math.min(failures - 1, 16));
  return delay * (0.8 + Math.random() * 0.2);
}
