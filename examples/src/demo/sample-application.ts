import {
  type ApplicationSpec,
  ArtifactFormat,
  durationFromMs,
  type Input,
  type Strategy,
} from "@slipway/sdk";

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
    strategy: sampleStrategy(regions),
  };
}

/**
 * A canary in the first region, then all of it, then the other regions. The times to watch are as
 * short as a demo wants them; a real service takes minutes.
 */
function sampleStrategy([first = "", ...others]: readonly string[]): Input<Strategy> {
  const bakeTime = durationFromMs(300);
  const canary = { regions: [first], percents: [25, 100], bakeTime };
  const rest = { regions: others, percents: [100], bakeTime };
  return {
    waves: others.length === 0 ? [canary] : [canary, rest],
    maxSwitchingPercent: 100,
    failureBudget: { failedPercent: 0, silentPercent: 0 },
  };
}
