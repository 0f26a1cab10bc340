import type { ApplicationSpec, Artifact, BuildFailure } from "@slipway/proto";
import type { Author } from "../audit/audit-log.js";
import type { KeptProvenance } from "../provenance/store.js";

/** The build queue: first in, first out, by the time of submission. */
export interface BuildQueue {
  /**
   * Queues a build, or answers the one that the key named before, or joins the same build.
   * @param signal - Aborted before it begins, nothing is queued, and its reason thrown.
   */
  submit(submission: Submission, signal?: AbortSignal): Promise<Submitted>;
  /**
   * Detaches a submission, and cancels the build with its last one; cancels it for all without one.
   * @throws DomainError NOT_FOUND, or FAILED_PRECONDITION if the build has ended.
   */
  cancel(buildId: string, submissionId: string | undefined, by: Author): Promise<void>;
  /** Leases at most one build for each mention of a builder. Fewer if fewer are queued. */
  lease(builderIds: readonly string[]): Promise<LeasedBuild[]>;
  /** Puts back builds that no builder was told of, as if they had not been leased. */
  release(leases: readonly LeaseKey[]): Promise<void>;
  /** Extends a lease by the lease period. */
  heartbeat(lease: LeaseKey): Promise<LeaseState>;
  /** Looks whether a lease is held, or was until the build's end; changes nothing. */
  check(lease: LeaseKey): Promise<LeaseState | "ended">;
  /** SUCCEEDED. Also "held" if it was said before with the same digest; the first provenance stays. */
  complete(lease: LeaseKey, artifact: Artifact, provenance?: KeptProvenance): Promise<LeaseState>;
  /** FAILED, or with retry back to the front of the queue while attempts are left. */
  fail(lease: LeaseKey, failure: BuildFailure, retry: boolean): Promise<LeaseState>;
  /** Takes builds whose lease or time has run out from their builders. Not before a restart is over: see RescueGate. */
  rescue(): Promise<Rescued>;
  /** Cheap; the figures to scale builders by. */
  backlog(): Promise<Backlog>;
}

export interface Submission {
  application: string;
  commitSha: string;
  /** Empty for none. */
  idempotencyKey: string;
  submitter: string;
  /** Of the token that it came with; empty without one. */
  tokenId?: string | undefined;
}

export interface Submitted {
  buildId: string;
  submissionId: string;
  /** No new build was queued. */
  merged: boolean;
}

/** Names one lease; the attempt is the fencing token. */
export interface LeaseKey {
  buildId: string;
  attempt: number;
  builderId: string;
}

/** "held": it is or was as asked. Otherwise the lease is lost, and why. */
export type LeaseState = "held" | "superseded" | "cancelled" | "unknown";

export interface LeasedBuild extends LeaseKey {
  application: string;
  applicationRevision: number;
  commitSha: string;
  spec: ApplicationSpec;
}

export interface Rescued {
  /** Back in the queue. */
  requeued: string[];
  /** FAILED, out of attempts or time. */
  failed: string[];
}

export interface Backlog {
  /** Builds that are QUEUED. */
  count: number;
  /** Since the oldest was submitted, in milliseconds; 0 if there is none. */
  oldestAgeMs: number;
}
