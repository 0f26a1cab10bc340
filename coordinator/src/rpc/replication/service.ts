import { ReplicationServiceService, type ReplicationServiceServer } from "@slipway/proto";
import { artifact, regionAgent, viewer } from "../../auth/rules.js";
import type { Handlers, ServiceEntry } from "../handler.js";
import { getReplicationStatus } from "./get-replication-status.js";
import { reportReplication } from "./report-replication.js";
import { watchReplicationTargets } from "./watch-replication-targets.js";

export function replicationService(handlers: Handlers): ServiceEntry {
  const implementation: ReplicationServiceServer = {
    watchReplicationTargets: handlers.stream(
      regionAgent(({ region }) => region),
      watchReplicationTargets,
    ),
    reportReplication: handlers.unary(
      regionAgent(({ region }) => region),
      reportReplication,
    ),
    getReplicationStatus: handlers.unary(
      viewer(artifact(({ artifactDigest }) => artifactDigest)),
      getReplicationStatus,
    ),
  };
  return { definition: ReplicationServiceService, implementation };
}
