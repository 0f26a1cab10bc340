import { DeploymentState, HostPhase, type Deployment } from "@slipway/proto";
import type { DeploymentProgress } from "../../deployment-watch.js";
import { agoText, spanText } from "../quantities.js";
import { oneLine, plain, plainLines } from "../text.js";
import { failureLines, slowestLine } from "./host-lines.js";
import { ageLines, heardRegions } from "./hearing.js";
import { deploymentFailureText, stateCell } from "./names.js";
import { countOf, regionSummary, totalsText } from "./region-progress.js";
import { notices, pausedText, phaseTimeText, presentStepText } from "./step.js";
import { paint, type Look } from "./style.js";
import { facts, table } from "./table.js";

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
export function deploymentFacts(progress: DeploymentProgress, look: Look): string {
  const { deployment } = progress;
  const regions = heardRegions(progress);
  const step = presentStepText(deployment);
  const unsaid = (text: string): string => (regions.length > 1 ? text : "");
  return (
    ageLines(progress, look) +
    facts(
      [
        ["deployment", deployment.id],
        ["application", `${deployment.application} revision ${deployment.applicationRevision}`],
        ["build", deployment.buildId],
        ["commit", deployment.commitSha],
        ["state", stateCell(deployment.state)],
        [
          "step",
          step === "" ? "" : `${step.replace(/^step /, "")}${phaseTimeText(deployment, look)}`,
        ],
        ...notices(deployment).map((notice) => ["", notice] as const),
        ["paused", pausedText(deployment, look)],
        ["failure", deployment.failure ? oneLine(deploymentFailureText(deployment.failure)) : ""],
        ["superseded by", deployment.supersededBy],
        ["rolled back by", deployment.rolledBackBy],
        ["drops", deployment.droppedRegions.join(", ")],
        ["kind", deployment.isRollback ? "roll-back" : "deployment"],
        ["created by", deployment.creator],
        ["reason", oneLine(deployment.reason)],
        ["created", agoText(deployment.createTime, look.now)],
        ["took", tookText(deployment, look.now)],
        ...regions.map((region) => [`in ${plain(region.region)}`, regionSummary(region)] as const),
        ["in all", unsaid(totalsText(progress))],
        ...failureLines(regions).map(
          (text) => ["failed", { text: oneLine(text), colour: "red" }] as const,
        ),
        ["slowest", slowestLine(regions).replace(/^slowest: /, "")],
      ],
      look,
    )
  );
}

/** How it ended, in a line or more. */
export function deploymentEnd({ deployment, regions }: DeploymentProgress, look: Look): string {
  const { state, failure, supersededBy, rolledBackBy, previousBuildId } = deployment;
  const took = tookText(deployment, look.now);
  const after = took === "" ? "" : ` after ${took}`;
  const name = `${plain(deployment.application)} ${plain(deployment.commitSha.slice(0, 12))}`;
  if (state === DeploymentState.SUCCEEDED) {
    const running = sum(regions.map((region) => countOf(region, HostPhase.RUNNING)));
    const hosts = sum(regions.map(({ status }) => status?.hostCount ?? 0));
    const where = running < hosts ? `${running} of ${hosts} hosts` : "every host";
    return `${paint(look, "green", `${name} runs on ${where}`)}${after}\n`;
  }
  if (state === DeploymentState.SUPERSEDED) {
    const by = plain(supersededBy);
    return `${paint(look, "yellow", `${name} was superseded`)}${after} by deployment ${by}\n`;
  }
  const why = failure ? `: ${deploymentFailureText(failure)}` : "";
  const how = state === DeploymentState.ABORTED ? "was aborted" : "failed";
  const canGoBack = state === DeploymentState.FAILED && previousBuildId !== "";
  const next =
    rolledBackBy !== ""
      ? `What ran before is put back; watch it with: slipway watch ${plain(rolledBackBy)}\n`
      : canGoBack
        ? `Go back with: slipway rollback ${plain(deployment.application)}\n`
        : "";
  return `${paint(look, "red", `${name} ${how}`)}${after}${plainLines(why)}\n${next}`;
}

/** How long it took, or has taken so far; empty before it was made. */
export function tookText({ startTime, createTime, finishTime }: Deployment, now: number): string {
  const from = startTime ?? createTime;
  return from === undefined ? "" : spanText((finishTime?.getTime() ?? now) - from.getTime());
}

function detail(deployment: Deployment): string {
  if (deployment.failure !== undefined) return oneLine(deploymentFailureText(deployment.failure));
  const kind = deployment.isRollback ? "roll-back" : "";
  return [kind, deployment.reason].filter((part) => part !== "").join(": ");
}

function sum(numbers: readonly number[]): number {
  return numbers.reduce((total, number) => total + number, 0);
}
