import {
  type Artifact,
  MembershipCertificate,
  type WorkLeased,
  type BuildTimes,
  signProvenance,
} from "@slipway/proto";
import { certificateExpiry, type Identity, signWith } from "../swarm/identity.js";

/** What a builder says of a build with its own key; undefined if its certificate had ended by then. */
export function signBuild(
  identity: Identity<"builder">,
  leased: WorkLeased,
  artifact: Artifact,
  times: BuildTimes,
): Buffer | undefined {
  if (certificateExpiry(identity) <= times.finishedOn) return undefined;
  const { secretKey, publicKey, certificate } = identity;
  const facts = {
    buildId: leased.lease?.buildId ?? "",
    attempt: leased.lease?.attempt ?? 0,
    builderId: identity.id,
    application: leased.application,
    applicationRevision: leased.applicationRevision,
    repository: leased.source?.repository ?? "",
    commitSha: leased.commitSha,
    command: leased.build?.command ?? [],
    artifact,
  };
  return signProvenance(facts, times, {
    certificate: MembershipCertificate.decode(certificate),
    publicKey,
    sign: (bytes) => signWith(secretKey, bytes),
  });
}
