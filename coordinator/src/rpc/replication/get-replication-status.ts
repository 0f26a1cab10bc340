import type { GetReplicationStatusRequest, GetReplicationStatusResponse } from "@slipway/proto";
import type { Context } from "../../context.js";
import { notFound } from "../../errors.js";
import { planArtifact } from "../../replication/planner.js";
import { Violations } from "../../validate.js";
import { checkDigest } from "./report-replication.js";

export async function getReplicationStatus(
  { db, replicationDb, replicationStatus }: Context,
  { artifactDigest }: GetReplicationStatusRequest,
): Promise<GetReplicationStatusResponse> {
  const found = new Violations();
  checkDigest(artifactDigest, found);
  found.throwIfAny();
  let known = await replicationStatus.get([artifactDigest]);
  if (known.size === 0 && (await planArtifact(db, replicationDb, artifactDigest))) {
    known = await replicationStatus.get([artifactDigest]);
  }
  const replications = known.get(artifactDigest);
  if (replications === undefined) throw notFound("artifact", artifactDigest);
  return { replications: [...replications] };
}
