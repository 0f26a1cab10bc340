import { ReplicationServiceService, type ReplicationServiceServer } from "@slipway/proto";
import type { Handlers, ServiceEntry } from "../handler.js";
import { getReplicationStatus } from "./get-replication-status.js";
import { reportReplication } from "./report-replication.js";
import { watchReplicationTargets } from "./watch-replication-targets.js";

export function replicationService(handlers: Handlers): ServiceEntry {
  const implementation: ReplicationServiceServer = {
    watchReplicationTargets: handlers.stream(watchReplicationTargets),
    reportReplication: handlers.unary(reportReplication),
    getReplicationStatus: handlers.unary(getReplicationStatus),
  };
  return { definition: ReplicationServiceService, implementation };
}
