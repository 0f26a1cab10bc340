import { type DeploymentProgress, HostPhase, type RegionProgress, StepPhase } from "@slipway/sdk";
import { bar } from "./render.js";

const PHASES: Readonly<Record<number, string>> = {
  [StepPhase.STAGING]: "staging",
  [StepPhase.SWITCHING]: "switching",
  [StepPhase.BAKING]: "watching",
};

/** Where a deployment is now: its step, and a line for each region. */
export function progressLines({ deployment, regions }: DeploymentProgress): string[] {
  const { step, steps, stepPhase, blockedBy } = deployment;
  const present = steps[step - 1];
  if (present === undefined) return regions.map(regionLine);
  const words = [
    `step ${step} of ${steps.length}, ${present.percent} % of ${present.regions.join(", ")}`,
    PHASES[stepPhase] ?? "",
    blockedBy,
  ];
  return [words.filter((word) => word !== "").join(": "), ...regions.map(regionLine)];
}

/** What a step that is done has done. @param step counted from 1. */
export function stepLine({ deployment, regions }: DeploymentProgress, step: number): string {
  const { percent = 100, regions: names = [] } = deployment.steps[step - 1] ?? {};
  const running = regions.reduce((sum, region) => sum + countOf(region, HostPhase.RUNNING), 0);
  const hosts = regions.reduce((sum, { status }) => sum + (status?.hostCount ?? 0), 0);
  const what = `step ${step} of ${deployment.steps.length}, ${percent} % of ${names.join(", ")}`;
  return `${what}: ${running} of ${hosts} hosts run it`;
}

function regionLine(region: RegionProgress): string {
  const { status, silent } = region;
  const name = region.region.padEnd(4);
  if (silent) return `${name} silent`;
  if (status === undefined) return `${name} waiting`;
  const fraction = status.bytesTotal === 0 ? 0 : status.bytesDone / status.bytesTotal;
  const running = countOf(region, HostPhase.RUNNING);
  const held = countOf(region, HostPhase.HELD);
  const failed = countOf(region, HostPhase.FAILED);
  const words = [
    name,
    bar(running === status.hostCount ? 1 : fraction),
    `${running}/${status.hostCount} running`,
    ...(held > 0 ? [`${held} ready`] : []),
    ...(failed > 0 ? [`${failed} failed`] : []),
  ];
  return words.join(" ");
}

function countOf({ status }: RegionProgress, phase: HostPhase): number {
  return status?.phases.find((each) => each.phase === phase)?.count ?? 0;
}
