import type { VerifiedBuild } from "../../provenance.js";
import type { Look } from "./style.js";
import { facts } from "./table.js";

/** A build whose provenance fits. */
export function verifiedFacts(
  { build, repository, provenance }: VerifiedBuild,
  look: Look,
): string {
  const { builderId, keyId, membershipKeyId, startedOn, finishedOn, expireTime } = provenance;
  return facts(
    [
      ["build", { text: `${build.id} verified`, colour: "green" }],
      ["artifact", build.artifact?.digest ?? ""],
      ["application", `${build.application} revision ${build.applicationRevision}`],
      ["repository", repository],
      ["commit", build.commitSha],
      ["built by", `${builderId}, attempt ${build.attempt}`],
      ["built", `${startedOn.toISOString()} to ${finishedOn.toISOString()}`],
      ["signed by", `key ${keyId} of builder ${builderId}`],
      [
        "certified by",
        `membership key ${membershipKeyId ?? ""}, until ${expireTime.toISOString()}`,
      ],
    ],
    look,
  );
}
