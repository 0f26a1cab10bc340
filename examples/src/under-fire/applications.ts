import {
  type ApplicationSpec,
  ArtifactFormat,
  durationFromMs,
  type Input,
  Promotion,
  type Strategy,
} from "@slipway/sdk";

/** Who creates deployments; somebody else approves. */
export const CREATOR = "traffic";
export const APPROVER = "approver";

/** One application for each way of deploying, under its name. */
export function applicationSpecs(
  repository: string,
  regions: readonly string[],
): Map<string, Input<ApplicationSpec>> {
  const strategies = strategiesFor(regions);
  const named = Object.entries(strategies).map(
    ([name, strategy]) => [name, applicationSpec(repository, regions, strategy)] as const,
  );
  return new Map(named);
}

/** Bakes are as short as a test wants them. */
function strategiesFor([first = "", ...others]: readonly string[]): Record<
  string,
  Input<Strategy>
> {
  const bakeTime = durationFromMs(300);
  const common = {
    maxSwitchingPercent: 50,
    failureBudget: { failedPercent: 0, silentPercent: 0 },
    activateTimeout: durationFromMs(60_000),
  };
  return {
    // A canary, then region by region.
    waves: {
      ...common,
      waves: [
        { regions: [first], percents: [50, 100], bakeTime },
        ...others.map((region) => ({ regions: [region], percents: [100], bakeTime })),
      ],
    },
    // Every step waits for somebody, and the last for somebody else.
    gated: {
      ...common,
      promotion: Promotion.MANUAL,
      waves: [
        { regions: ["*"], percents: [50], bakeTime: durationFromMs(0) },
        { regions: ["*"], percents: [100], bakeTime, requiresApproval: true },
      ],
    },
    // All of them, of which some may be silent.
    atonce: {
      ...common,
      maxSwitchingPercent: 100,
      failureBudget: { failedPercent: 0, silentPercent: 34 },
      waves: [{ regions: ["*"], percents: [100], bakeTime: durationFromMs(0) }],
    },
  };
}

function applicationSpec(
  repository: string,
  regions: readonly string[],
  strategy: Input<Strategy>,
): Input<ApplicationSpec> {
  return {
    source: { repository, trunk: "main" },
    build: {
      command: ["sh", "build.sh"],
      artifactPath: "out/service",
      artifactFormat: ArtifactFormat.EXECUTABLE,
      timeout: durationFromMs(60_000),
      // More than a builder is killed in a row.
      maxAttempts: 10,
    },
    run: {
      command: ["./service"],
      healthCheck: { interval: durationFromMs(300), deadline: durationFromMs(20_000) },
      stopTimeout: durationFromMs(2_000),
      artifactFormat: ArtifactFormat.EXECUTABLE,
      executableName: "service",
    },
    regions: [...regions],
    selector: { tier: "web" },
    strategy,
  };
}
