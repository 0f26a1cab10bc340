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
/** What the hosts' secret is. */
export const SECRET = "a secret of hosts";

/** Is removed and comes back, and is removed in the end. */
export const FLEETING = "fleeting";
/** Takes only some hosts now and then. */
export const NARROWED = "atonce";

/** What applications are made with. */
export interface Surroundings {
  repository: string;
  regions: readonly string[];
  /** Who is told of deployments. */
  hookUrl: string;
  /** Holds a secret, on every host. */
  secretFile: string;
}

/** Names of all applications. */
export const applicationNames = (): string[] => Object.keys(strategiesFor([]));

/** One application for each way of deploying, under its name. */
export function applicationSpecs(surroundings: Surroundings): Map<string, Input<ApplicationSpec>> {
  const strategies = strategiesFor(surroundings.regions);
  const named = Object.entries(strategies).map(
    ([name, strategy]) => [name, applicationSpec(surroundings, strategy)] as const,
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
    // Half of them, then all, as long as it is there.
    [FLEETING]: {
      ...common,
      failureBudget: { failedPercent: 0, silentPercent: 34 },
      waves: [{ regions: ["*"], percents: [50, 100], bakeTime }],
    },
  };
}

function applicationSpec(
  { repository, regions, hookUrl, secretFile }: Surroundings,
  strategy: Input<Strategy>,
): Input<ApplicationSpec> {
  // Leaves nothing behind in the release folder, whose bytes are looked at.
  const command = ["sh", "-c", `test "$TOKEN" = "${SECRET}"`];
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
      secrets: { TOKEN: { source: { $case: "file", value: secretFile } } },
      preActivate: { command },
      postActivate: { command },
      drain: { command },
      drainTime: durationFromMs(100),
    },
    notificationHooks: [{ url: hookUrl }],
    regions: [...regions],
    selector: { tier: "web" },
    strategy,
  };
}
