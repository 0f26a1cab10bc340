import {
  ARTIFACT_DIGEST_PATTERN,
  ReplicationState,
  type ReportReplicationRequest,
  type ReportReplicationResponse,
} from "@slipway/proto";
import type { Context } from "../../context.js";
import { notFound } from "../../errors.js";
import { planArtifact } from "../../replication/planner.js";
import type { StoredState } from "../../replication/next-replication.js";
import * as store from "../../replication/replication-store.js";
import { Violations } from "../../validate.js";

const MAX_MESSAGE_LENGTH = 1_000;

export async function reportReplication(
  { db, replicationDb, events, log }: Context,
  request: ReportReplicationRequest,
): Promise<ReportReplicationResponse> {
  const report = check(request);
  let outcome = await store.reportReplication(replicationDb, report);
  if (outcome === "unknown") {
    // The rows may not have been made yet, or were lost with the replication database.
    if (!(await planArtifact(db, replicationDb, report.artifactDigest))) {
      throw notFound("artifact", report.artifactDigest);
    }
    outcome = await store.reportReplication(replicationDb, report);
    if (outcome === "unknown") {
      throw notFound("replication", `${report.artifactDigest} in ${report.region}`);
    }
  }
  if (outcome === "changed") {
    events.publish({ kind: "artifact", id: report.artifactDigest });
    if (report.state !== "COPYING") log.info({ ...report }, "replication reported");
  }
  return {};
}

function check(request: ReportReplicationRequest): store.ReplicationReport {
  const { region, artifactDigest, bytesCopied } = request;
  const found = new Violations();
  found.name("region", region);
  checkDigest(artifactDigest, found);
  const state = STATES[request.state];
  found.check(state !== undefined, "state", "must be PENDING, COPYING, COMPLETE or FAILED");
  found.throwIfAny();
  // Whatever a copy's error says, it is kept: cut, and on one line.
  const message = request.message.replaceAll(/\p{Cc}+/gu, " ").slice(0, MAX_MESSAGE_LENGTH);
  return { region, artifactDigest, state: state ?? "FAILED", bytesCopied, message };
}

export function checkDigest(digest: string, found: Violations): void {
  const description = digest === "" ? "is missing" : 'must be "sha256:" and 64 hexadecimal digits';
  found.check(ARTIFACT_DIGEST_PATTERN.test(digest), "artifact_digest", description);
}

const STATES: Partial<Record<ReplicationState, StoredState>> = {
  [ReplicationState.PENDING]: "PENDING",
  [ReplicationState.COPYING]: "COPYING",
  [ReplicationState.COMPLETE]: "COMPLETE",
  [ReplicationState.FAILED]: "FAILED",
};
