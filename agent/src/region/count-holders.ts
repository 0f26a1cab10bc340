import type { ArtifactQuery, ArtifactQueryReply } from "@slipway/proto";
import { selectorTakes } from "../host/choose.js";
import type { KnownHost } from "./known-host.js";

const MAX_MISSING = 20;

/** How many of the hosts that the selector takes have the artifact; silent ones may not. */
export function countHolders(
  { application, selector, artifactDigest }: ArtifactQuery,
  hosts: Iterable<KnownHost>,
): ArtifactQueryReply {
  const reply: ArtifactQueryReply = { hostCount: 0, holdingCount: 0, missingHosts: [] };
  for (const { enrolment, silent, applications } of hosts) {
    if (!selectorTakes(selector, enrolment.labels)) continue;
    reply.hostCount += 1;
    const held = applications.get(application)?.heldArtifactDigests ?? [];
    if (!silent && held.includes(artifactDigest)) reply.holdingCount += 1;
    else if (reply.missingHosts.length < MAX_MISSING) reply.missingHosts.push(enrolment.hostId);
  }
  return reply;
}
