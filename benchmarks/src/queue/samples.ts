import { ApplicationSpec, ArtifactFormat, type Artifact } from "@slipway/proto";

export function applicationSpec(regions: string[] = ["eu"]): ApplicationSpec {
  return ApplicationSpec.fromPartial({
    source: { repository: "/nowhere" },
    build: { command: ["true"], artifactPath: "out", artifactFormat: ArtifactFormat.EXECUTABLE },
    run: { command: ["./out"] },
    regions,
  });
}

/** Another for each commit, as builds of them have. */
export const artifactOf = (commitSha: string): Artifact => ({
  digest: `sha256:${commitSha.padStart(64, "0")}`,
  sizeBytes: 1_000_000,
  chunkCount: 1,
  platform: "linux/x64",
});
