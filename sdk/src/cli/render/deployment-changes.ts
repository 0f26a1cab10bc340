import { HostPhase, type RegionProgress } from "@slipway/proto";
import { isFinalDeployment, type DeploymentProgress } from "../../deployment-watch.js";
import { plain, plainLines } from "../text.js";
import { failureLines } from "./host-lines.js";
import { ageChanges, heardRegions } from "./hearing.js";
import { stateCell } from "./names.js";
import { regionSummary } from "./region-progress.js";
import { notices, presentStepText } from "./step.js";
import { paint, type Look } from "./style.js";

/**
 * What has changed since the last event, a line each: states, steps, notices, failures, and of each
 * region what moved by a tenth of its hosts or bytes, so that a large fleet fills no log.
 */
export function deploymentChanges(
  before: DeploymentProgress | undefined,
  progress: DeploymentProgress,
  look: Look,
): string[] {
  const { deployment } = progress;
  const regions = heardRegions(progress);
  const lines = ageChanges(before, progress).map(({ text, colour }) => paint(look, colour, text));
  if (before?.deployment.state !== deployment.state) {
    const { text, colour } = stateCell(deployment.state);
    const of = `deployment ${plain(deployment.id)} of ${plain(deployment.application)}`;
    lines.push(`${of} ${paint(look, colour, text)}`);
  }
  const isNewStep =
    before?.deployment.step !== deployment.step ||
    before.deployment.stepPhase !== deployment.stepPhase;
  if (isNewStep && deployment.steps.length > 0) lines.push(presentStepText(deployment));
  const told = new Set(before === undefined ? [] : notices(before.deployment).map(textOf));
  for (const notice of notices(deployment)) {
    if (!told.has(notice.text)) lines.push(paint(look, notice.colour, notice.text));
  }
  // After an end, counts are of what came after it.
  const counted = regions.filter(({ status }) => {
    return status !== undefined || !isFinalDeployment(deployment);
  });
  const known = before === undefined ? [] : heardRegions(before);
  for (const region of counted) {
    const last = known.find((one) => one.region === region.region);
    if (last === undefined || gist(last) !== gist(region)) {
      lines.push(`${plain(region.region)}: ${plain(regionSummary(region))}`);
    }
  }
  const said = new Set(before === undefined ? [] : failureLines(before.regions));
  lines.push(
    ...failureLines(regions)
      .filter((line) => !said.has(line))
      .map((line) => paint(look, "red", plainLines(line).replaceAll("\n", "\n  "))),
  );
  return lines;
}

function textOf({ text }: { text: string }): string {
  return text;
}

/** What a region has to say without what moves all the time. */
function gist(region: RegionProgress): string {
  const { status, silent, warming, bucketLimit, replication, natsAwaySince } = region;
  const hosts = status?.hostCount ?? 0;
  const phases = (status?.phases ?? [])
    .filter(({ count }) => count > 0)
    .map(({ phase, count }) => `${HostPhase[phase]} ${tenth(count, hosts)}`)
    .sort();
  const counted = status && [
    hosts,
    tenth(status.silentCount, hosts),
    tenth(status.chosenUnsteadyCount, hosts),
    status.bytesTotal === 0 ? 0 : Math.floor((status.bytesDone / status.bytesTotal) * 10),
  ];
  return JSON.stringify([
    silent,
    natsAwaySince !== undefined,
    warming,
    bucketLimit,
    replication,
    counted,
    phases,
  ]);
}

/** Full tenths; some but less than one is more than none. */
function tenth(count: number, all: number): number {
  if (all === 0) return 0;
  return count > 0 && count < all / 10 ? 0.5 : Math.floor((count / all) * 10);
}
