import { Deployment, DeploymentState, DeploymentTotals, RegionProgress } from "@slipway/proto";
import type { DeploymentProgress } from "../deployment-watch.js";
import { EXIT } from "./exit-code.js";
import { messageJson } from "./json.js";
import { LiveBlock } from "./live-block.js";
import { deploymentChanges } from "./render/deployment-changes.js";
import { deploymentFrame } from "./render/deployment-frame.js";
import { deploymentEnd } from "./render/deployment.js";
import { lookOf, note, printEvent, retryText, type Session } from "./session.js";

/** A deployment and its regions as JSON. */
export function progressJson(progress: DeploymentProgress): object {
  const { deployment, regions, totals, unheardSince, staleSince } = progress;
  return {
    deployment: messageJson(Deployment, deployment),
    regions: regions.map((region) => messageJson(RegionProgress, region)),
    ...(totals && { totals: messageJson(DeploymentTotals, totals) }),
    unheardSince,
    staleSince,
  };
}

/** Shows a deployment until its end: bars on a terminal, else a line for each change. */
export async function followDeployment(session: Session, id: string): Promise<number> {
  try {
    const last = await follow(session, id);
    return last?.deployment.state === DeploymentState.SUCCEEDED ? EXIT.ok : EXIT.failed;
  } catch (error) {
    if (session.signal.aborted && !session.json) {
      await note(session, `The deployment goes on. See it again with: slipway watch ${id}`);
    }
    throw error;
  }
}

async function follow(session: Session, id: string): Promise<DeploymentProgress | undefined> {
  const { json, stdout, signal } = session;
  const events = session.client.deployments.watch(id, { signal });
  if (!json && stdout.isTerminal) return followLive(session, events);
  let last: DeploymentProgress | undefined;
  for await (const progress of events) {
    if (json) {
      await printEvent(session, { type: "deployment", ...progressJson(progress) });
    } else {
      const lines = deploymentChanges(last, progress, lookOf(session));
      if (lines.length > 0) await stdout.write(`${lines.join("\n")}\n`);
    }
    last = progress;
  }
  if (last !== undefined && !json) await stdout.write(deploymentEnd(last, lookOf(session)));
  return last;
}

async function followLive(
  session: Session,
  events: AsyncIterable<DeploymentProgress>,
): Promise<DeploymentProgress | undefined> {
  const block = new LiveBlock(session.stdout);
  const { onRetry } = session;
  let last: DeploymentProgress | undefined;
  let trouble: string | undefined;
  const draw = async (): Promise<void> => {
    if (last === undefined) return;
    const rows = block.rows();
    await block.draw(deploymentFrame(last, lookOf(session), { rows, trouble }));
  };
  session.onRetry = (retry) => {
    if (last === undefined) onRetry(retry);
    else trouble = retryText(retry);
  };
  // Times and trouble move on without an event. A write that fails also fails the next event's.
  const timer = setInterval(() => void draw().catch(() => undefined), 1_000);
  try {
    for await (const progress of events) {
      last = progress;
      trouble = undefined;
      await draw();
    }
  } finally {
    clearInterval(timer);
    session.onRetry = onRetry;
  }
  if (last !== undefined) await session.stdout.write(deploymentEnd(last, lookOf(session)));
  return last;
}
