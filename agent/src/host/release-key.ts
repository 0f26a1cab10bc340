import { createHash } from "node:crypto";
import { RunSpec, type Release } from "@slipway/proto";

/**
 * The same for two releases that need no restart between them: same artifact, same run spec,
 * whatever the build or the application's revision.
 */
export function releaseKey(release: Release): string {
  const run = release.run === undefined ? "" : canonicalJson(RunSpec.toJSON(release.run));
  return createHash("sha256").update(`${release.artifactDigest}\n${run}`).digest("hex");
}

/** Name of the release's folder: one for each artifact, application revision and run spec. */
export function releaseFolderName(release: Release): string {
  const artifact = release.artifactDigest.slice("sha256:".length, "sha256:".length + 16);
  return `${artifact}-r${release.applicationRevision}-${releaseKey(release).slice(0, 8)}`;
}

/** What a release folder's name looks like. */
export const RELEASE_FOLDER_PATTERN = /^[0-9a-f]{16}-r\d+-[0-9a-f]{8}$/;

/** JSON with sorted names, so that the order of a map on the wire makes no difference. */
function canonicalJson(value: unknown): string {
  if (Array.isArray(value)) return `[${value.map(canonicalJson).join(",")}]`;
  if (typeof value !== "object" || value === null) return JSON.stringify(value) ?? "null";
  const fields = Object.entries(value)
    .filter(([, field]) => field !== undefined)
    .sort(([a], [b]) => (a < b ? -1 : 1))
    .map(([name, field]) => `${JSON.stringify(name)}:${canonicalJson(field)}`);
  return `{${fields.join(",")}}`;
}
