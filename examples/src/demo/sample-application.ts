import { type ApplicationSpec, ArtifactFormat, durationFromMs, type Input } from "@slipway/sdk";

/** The name under which the sample service is deployed. */
export const SAMPLE_APPLICATION = "shop";

/** How the sample service is built and run. */
export function sampleApplication(
  repository: string,
  regions: readonly string[],
): Input<ApplicationSpec> {
  return {
    source: { repository, trunk: "main" },
    build: {
      command: ["node", "build.mjs"],
      artifactPath: "dist/service.tar",
      artifactFormat: ArtifactFormat.TAR,
      timeout: durationFromMs(60_000),
    },
    run: {
      command: ["node", "server.mjs"],
      healthCheck: {
        // Each host's agent has a port of its own in its environment.
        check: { $case: "httpUrl", value: "http://127.0.0.1:${PORT}/healthz" },
        interval: durationFromMs(200),
        deadline: durationFromMs(30_000),
      },
      stopTimeout: durationFromMs(5_000),
      artifactFormat: ArtifactFormat.TAR,
    },
    regions: [...regions],
    selector: { tier: "web" },
  };
}
