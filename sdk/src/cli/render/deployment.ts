import { DeploymentState, type Deployment, type RegionProgress } from "@slipway/proto";
import type { DeploymentProgress } from "../../deployment-watch.js";
import { agoText, spanText } from "../quantities.js";
import { fit, plain, plainLines } from "../text.js";
import { deploymentFailureText, hostFailureText, stateCell } from "./names.js";
import { BAR_LEGEND, regionLine, regionText, transferText } from "./region-progress.js";
import { paint, type Look } from "./style.js";
import { facts, table } from "./table.js";

/** Failures of hosts that a display shows, of each region. */
const FAILURES_SHOWN = 3;

/** Deployments, one a line. */
export function deploymentTable(deployments: readonly Deployment[], look: Look): string {
  const headings = ["DEPLOYMENT", "APPLICATION", "BUILD", "COMMIT", "STATE", "CREATED", "DETAIL"];
  const rows = deployments.map((deployment) => [
    deployment.id,
    deployment.application,
    deployment.buildId,
    deployment.commitSha.slice(0, 12),
    stateCell(deployment.state),
    agoText(deployment.createTime, look.now),
    detail(deployment),
  ]);
  return table(headings, rows, look);
}

/** Everything about one deployment. */
export function deploymentFacts({ deployment, regions }: DeploymentProgress, look: Look): string {
  return facts(
    [
      ["deployment", deployment.id],
      ["application", `${deployment.application} revision ${deployment.applicationRevision}`],
      ["build", deployment.buildId],
      ["commit", deployment.commitSha],
      ["state", stateCell(deployment.state)],
      ["failure", deployment.failure ? deploymentFailureText(deployment.failure) : ""],
      ["superseded by", deployment.supersededBy],
      ["kind", deployment.isRollback ? "roll-back" : "deployment"],
      ["created by", deployment.creator],
      ["reason", deployment.reason],
      ["created", agoText(deployment.createTime, look.now)],
      ["took", tookText(deployment, look.now)],
      ...regions.map((region) => [`in ${plain(region.region)}`, regionSummary(region)] as const),
    ],
    look,
  );
}

/** The lines of a live display, each at most as wide as the terminal. */
export function deploymentFrame(progress: DeploymentProgress, look: Look): string[] {
  const { deployment, regions } = progress;
  const nameWidth = Math.min(
    24,
    regions.reduce((most, { region }) => Math.max(most, region.length), 0),
  );
  const took = tookText(deployment, look.now);
  const head = `${plain(deployment.application)} ${deployment.commitSha.slice(0, 12)}`;
  const state = stateCell(deployment.state);
  const tail = took === "" ? "" : ` for ${took}`;
  const lines = [
    `${fit(head, look.columns - state.text.length - tail.length - 2)}  ` +
      `${paint(look, state.colour, state.text)}${tail}`,
    ...regions.map((region) => regionLine(region, nameWidth, look)),
    paint(look, "dim", fit(BAR_LEGEND, look.columns)),
  ];
  for (const failure of failureLines(regions)) {
    lines.push(paint(look, "red", fit(plain(failure), look.columns)));
  }
  return lines;
}

/** What has changed since the last event, a line each; nothing but bytes below a tenth is not. */
export function deploymentChanges(
  before: DeploymentProgress | undefined,
  progress: DeploymentProgress,
  look: Look,
): string[] {
  const { deployment, regions } = progress;
  const lines: string[] = [];
  if (before?.deployment.state !== deployment.state) {
    const { text, colour } = stateCell(deployment.state);
    lines.push(
      `deployment ${plain(deployment.id)} of ${plain(deployment.application)} ` +
        paint(look, colour, text),
    );
  }
  for (const region of regions) {
    const last = before?.regions.find((one) => one.region === region.region);
    const changed =
      last === undefined ||
      regionText(last) !== regionText(region) ||
      tenth(last) !== tenth(region);
    if (changed) lines.push(`${plain(region.region)}: ${plain(regionSummary(region))}`);
  }
  const known = new Set(before === undefined ? [] : failureLines(before.regions));
  lines.push(
    ...failureLines(regions)
      .filter((line) => !known.has(line))
      .map((line) => paint(look, "red", plain(line))),
  );
  return lines;
}

/** How it ended, in a line or more. */
export function deploymentEnd({ deployment }: DeploymentProgress, look: Look): string {
  const took = tookText(deployment, look.now);
  const after = took === "" ? "" : ` after ${took}`;
  const name = `${plain(deployment.application)} ${deployment.commitSha.slice(0, 12)}`;
  if (deployment.state === DeploymentState.SUCCEEDED) {
    return `${paint(look, "green", `${name} runs on every host`)}${after}\n`;
  }
  if (deployment.state === DeploymentState.SUPERSEDED) {
    const by = plain(deployment.supersededBy);
    return `${paint(look, "yellow", `${name} was superseded`)}${after} by deployment ${by}\n`;
  }
  const why = deployment.failure ? `: ${deploymentFailureText(deployment.failure)}` : "";
  return (
    `${paint(look, "red", `${name} failed`)}${after}${plainLines(why)}\n` +
    `Go back with: slipway rollback ${plain(deployment.application)}\n`
  );
}

function regionSummary(region: RegionProgress): string {
  return [regionText(region), transferText(region)].filter((part) => part !== "").join(", ");
}

function failureLines(regions: readonly RegionProgress[]): string[] {
  return regions.flatMap(({ region, status }) =>
    (status?.failures ?? []).slice(0, FAILURES_SHOWN).map(({ hostId, failure }) => {
      return `${region} ${hostId}: ${failure ? hostFailureText(failure) : "failed"}`;
    }),
  );
}

function tenth({ status }: RegionProgress): number {
  if (status === undefined || status.bytesTotal === 0) return 0;
  return Math.floor((status.bytesDone / status.bytesTotal) * 10);
}

function tookText({ startTime, createTime, finishTime }: Deployment, now: number): string {
  const from = startTime ?? createTime;
  return from === undefined ? "" : spanText((finishTime?.getTime() ?? now) - from.getTime());
}

function detail(deployment: Deployment): string {
  if (deployment.failure !== undefined) return deploymentFailureText(deployment.failure);
  const kind = deployment.isRollback ? "roll-back" : "";
  return [kind, deployment.reason].filter((part) => part !== "").join(": ");
}
