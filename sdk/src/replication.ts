import {
  GetReplicationStatusRequest,
  type Replication,
  ReplicationServiceService,
} from "@slipway/proto";
import type { Caller } from "./caller.js";
import type { CallOptions } from "./options.js";

/** Which artifacts are in which region's blob store. */
export interface Replications {
  /** @param artifactDigest "sha256:…", as `build.artifact.digest` says it. */
  status(artifactDigest: string, options?: CallOptions): Promise<Replication[]>;
}

export function createReplications(caller: Caller): Replications {
  return {
    status: async (artifactDigest, options) => {
      const request = GetReplicationStatusRequest.fromPartial({ artifactDigest });
      const { replications } = await caller.unary(
        ReplicationServiceService.getReplicationStatus,
        "idempotent",
        request,
        options,
      );
      return replications;
    },
  };
}
