import { DeploymentState, HostPhase, type Application, type Deployment } from "@slipway/proto";
import type { DeploymentProgress } from "../../deployment-watch.js";
import { agoText } from "../quantities.js";
import { stateCell } from "./names.js";
import { countOf } from "./region-progress.js";
import type { Look } from "./style.js";
import { table, type Cell } from "./table.js";

/** An application and its newest deployment, if it had one. */
export interface ApplicationStatus {
  application: Application;
  newest: DeploymentProgress | undefined;
}

/** Applications, one a line: the newest deployment and what the hosts run. */
export function statusTable(statuses: readonly ApplicationStatus[], look: Look): string {
  const headings = ["APPLICATION", "REVISION", "COMMIT", "STATE", "SINCE", "HOSTS", "RUNS"];
  const rows = statuses.map(({ application, newest }) => {
    const { name, revision } = application;
    if (newest === undefined) {
      return [name, String(revision), "", "not deployed", "", "", ""];
    }
    const { deployment, regions } = newest;
    const running = regions.reduce((sum, one) => sum + countOf(one, HostPhase.RUNNING), 0);
    const hosts = regions.reduce((sum, { status }) => sum + (status?.hostCount ?? 0), 0);
    return [
      name,
      String(deployment.applicationRevision),
      deployment.commitSha.slice(0, 12),
      stateOf(deployment),
      agoText(stateTime(deployment), look.now),
      `${running}/${hosts}`,
      runsText(newest),
    ];
  });
  return table(headings, rows, look);
}

/** Since when it is in its state; of one that went on after a pause, since when it runs. */
function stateTime(deployment: Deployment): Date | undefined {
  const { state, pause, createTime, startTime, finishTime } = deployment;
  if (finishTime !== undefined) return finishTime;
  if (state === DeploymentState.PENDING) return createTime;
  return (
    (state === DeploymentState.PAUSED ? pause?.pauseTime : undefined) ?? startTime ?? createTime
  );
}

/** A roll-back that succeeded is no success of what was deployed. */
function stateOf({ state, isRollback }: Deployment): Cell {
  const { text, colour } = stateCell(state);
  return isRollback ? { text: `${text} (roll-back)`, colour } : { text, colour };
}

/** "12 × build a, 3 × build b", over all regions. */
function runsText({ regions }: DeploymentProgress): string {
  const counts = new Map<string, number>();
  for (const { buildId, count } of regions.flatMap(({ status }) => status?.running ?? [])) {
    counts.set(buildId, (counts.get(buildId) ?? 0) + count);
  }
  return [...counts]
    .sort(([, one], [, other]) => other - one)
    .map(([buildId, count]) => `${count} × ${buildId}`)
    .join(", ");
}
