import {
  Deployment,
  DeploymentState,
  HostFailureReason,
  type HostPhase,
  RegionProgress,
} from "@slipway/proto";
import type { Look } from "../../src/cli/render/style.js";

/** What time it is where these are looked at. */
const NOW = Date.UTC(2026, 0, 1, 12);
export const WIDE: Look = { colour: false, columns: Number.POSITIVE_INFINITY, now: NOW };
export const ago = (seconds: number): Date => new Date(NOW - seconds * 1000);

/** A region whose hosts are in these phases. */
export function region(
  name: string,
  counts: readonly (readonly [HostPhase, number])[],
  status: object = {},
  more: object = {},
): RegionProgress {
  const hostCount = counts.reduce((sum, [, count]) => sum + count, 0);
  const phases = counts.map(([phase, count]) => ({ phase, count }));
  return RegionProgress.fromPartial({
    region: name,
    status: { hostCount, phases, ...status },
    ...more,
  });
}

/** A deployment of web that has run for 65 s. */
export function deployment(more: object = {}): Deployment {
  return Deployment.fromPartial({
    id: "d1",
    application: "web",
    applicationRevision: 2,
    buildId: "b1",
    commitSha: "0123456789abcdef0123456789abcdef01234567",
    state: DeploymentState.RUNNING,
    createTime: ago(70),
    startTime: ago(65),
    ...more,
  });
}

/** Two waves: 10 and 100 percent of eu, then of all, which somebody else has to approve. */
export const STEPS = [
  { wave: 1, regions: ["eu"], percent: 10 },
  { wave: 1, regions: ["eu"], percent: 100 },
  { wave: 2, regions: ["eu", "us"], percent: 100, requiresPromotion: true, requiresApproval: true },
];

/** Counts of a region in which a host failed, with a message that is not to be trusted. */
export const FAILING = {
  failures: [
    { hostId: "h9", failure: { reason: HostFailureReason.UNHEALTHY, message: "503 \u001b[2J" } },
  ],
};
