import {
  durationToMs,
  OnFailure,
  type Duration,
  type PlanDeploymentResponse,
  type RegionPlan,
  type StepReach,
} from "@slipway/proto";
import { durationText } from "../duration-text.js";
import { bytesText } from "../quantities.js";
import { plain } from "../text.js";
import { frozenBy } from "./freeze.js";
import { replicationName } from "./names.js";
import { stepText } from "./step.js";
import { paint, type Look } from "./style.js";
import { facts, table } from "./table.js";

/** Hosts that would download which are named, of each region. */
const HOSTS_SHOWN = 5;

const ROUGH =
  "A percentage is of a draw, which each deployment makes anew: nine of ten are within the brackets.";

/** What a deployment would do: what it is, its steps, and what each region has to move. */
export function planText(plan: PlanDeploymentResponse, look: Look): string {
  const bytes = sum(plan.regions.map(({ bytesToMove }) => bytesToMove));
  const head = facts(
    [
      ["application", plan.application],
      ["build", `${plan.buildId}, commit ${plan.commitSha.slice(0, 12)}`],
      ["artifact", bytesText(plan.artifactSizeBytes)],
      ["hosts", hostsText(plan.regions)],
      ["to move", `at most ${bytesText(bytes)}`],
      ["supersedes", plan.supersedes === "" ? "nothing" : `deployment ${plan.supersedes}`],
      ["back to", plan.previousBuildId === "" ? "nothing" : `build ${plan.previousBuildId}`],
      ["drops", dropsText(plan)],
      ...paceFacts(plan),
    ],
    look,
  );
  const headings = ["REGION", "HOSTS", "TO DOWNLOAD", "BYTES", "ARTIFACT THERE", "WHICH"];
  const rows = plan.regions.map((region) => [
    region.region,
    String(region.hostCount),
    String(region.downloadCount),
    bytesText(region.bytesToMove),
    replicationName(region.replication),
    whichText(region),
  ]);
  const frozen = frozenLines(plan, look).join("");
  return `${frozen}${head}\n${stepLines(plan).join("")}\n${table(headings, rows, look)}`;
}

/** What keeps it from being begun now, and what to do. */
function frozenLines({ freezes }: PlanDeploymentResponse, look: Look): string[] {
  if (freezes.length === 0) return [];
  const lines = freezes.map((freeze) => paint(look, "yellow", `${frozenBy(freeze, look)}\n`));
  const refused =
    "To begin this is refused while that lasts. In an emergency: --override-freeze --reason WHY.";
  return [...lines, `${refused}\n\n`];
}

/** Which hosts a roll-back has to wait for, a line for each region that has some; none is one line. */
export function downloadLines({ regions }: PlanDeploymentResponse, look: Look): string[] {
  const lines = regions
    .filter(({ downloadCount, unreachable }) => downloadCount > 0 || unreachable)
    .map((region) => {
      const { region: name, downloadCount, hostCount, bytesToMove } = region;
      const counts = `${downloadCount} of ${hostCount} hosts have to download it`;
      const text = `${name}: ${counts}, at most ${bytesText(bytesToMove)}: ${whichText(region)}`;
      return paint(look, "yellow", plain(text));
    });
  return lines.length > 0 ? lines : ["every host has it: nothing has to be downloaded"];
}

/** The regions in which hosts are going to stop it; empty for none. */
export function dropsText({ droppedRegions }: Pick<PlanDeploymentResponse, "droppedRegions">) {
  if (droppedRegions.length === 0) return "";
  return `${droppedRegions.join(", ")}: hosts there stop it once this has succeeded`;
}

const span = (duration: Duration | undefined): string => durationText(durationToMs(duration, 0));

/** What the strategy allows, and for how long. */
function paceFacts({ strategy }: PlanDeploymentResponse): [string, string][] {
  if (strategy === undefined) return [];
  const { maxSwitchingPercent, failureBudget, onFailure } = strategy;
  const { failedPercent = 0, silentPercent = 0 } = failureBudget ?? {};
  const then = onFailure === OnFailure.STOP ? "hosts keep what they have" : "it is rolled back";
  return [
    ["at once", `${maxSwitchingPercent} % of a region's hosts, or one`],
    ["may fail", `${failedPercent} % of those told to switch; with more, ${then}`],
    ["may be silent", `${silentPercent} % of those; with more, it is paused until they are heard`],
    [
      "time limits",
      `${span(strategy.stageTimeout)} a step to get the bytes, ` +
        `${span(strategy.activateTimeout)} to switch, ${span(strategy.timeout)} in all`,
    ],
  ];
}

function stepLines({ steps, strategy, reaches }: PlanDeploymentResponse): string[] {
  const lines = steps.map((step, index) => {
    const bake = durationToMs(strategy?.waves[step.wave - 1]?.bakeTime, 0);
    const then = bake === 0 ? "" : `, then watched for ${durationText(bake)}`;
    const waits = step.requiresApproval
      ? ", once somebody else approves"
      : step.requiresPromotion
        ? ", once somebody promotes it"
        : "";
    const reached = reaches.filter((reach) => reach.step === index + 1);
    return `${stepText(steps, index + 1)}${waits}${then}\n${reachText(reached)}`;
  });
  const isRough = reaches.some(({ leastHosts, mostHosts }) => leastHosts < mostHosts);
  return isRough ? [...lines, `${ROUGH}\n`] : lines;
}

/** How many hosts a step switches: "  eu: about 1 of 12 hosts (1 to 3)". */
function reachText(reaches: readonly StepReach[]): string {
  if (reaches.length === 0) return "";
  const texts = reaches.map(({ region, hostCount, expectedHosts, leastHosts, mostHosts }) => {
    if (leastHosts === mostHosts) return `${plain(region)}: ${leastHosts} of ${hostCount} hosts`;
    const range = `${leastHosts} to ${mostHosts}`;
    return `${plain(region)}: about ${expectedHosts} of ${hostCount} hosts (${range})`;
  });
  return `  ${texts.join(", ")}\n`;
}

function hostsText(regions: readonly RegionPlan[]): string {
  const hosts = sum(regions.map(({ hostCount }) => hostCount));
  const downloads = sum(regions.map(({ downloadCount }) => downloadCount));
  return `${hosts}, of which ${downloads} would download`;
}

function whichText({ unreachable, downloadHosts, downloadCount, hostCount }: RegionPlan): string {
  if (unreachable) return "no agent of the region answers: perhaps all";
  if (downloadCount > 0 && downloadCount === hostCount) return "all";
  const shown = downloadHosts.slice(0, HOSTS_SHOWN);
  const more = downloadCount - shown.length;
  return [...shown, ...(more > 0 ? [`${more} more`] : [])].join(", ");
}

function sum(numbers: readonly number[]): number {
  return numbers.reduce((total, number) => total + number, 0);
}
