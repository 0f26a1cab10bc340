import { BuildStatus, DeploymentState } from "@slipway/sdk";
import { CREATOR } from "./applications.js";
import type { Scene } from "./judge.js";
import { promoteAll } from "./steering.js";

/**
 * Brings every application to a good build, now that nobody disturbs it any more.
 * @param goodCommits - Whose releases run.
 * @returns what did not go well, in words.
 */
export async function closeAll(scene: Scene, goodCommits: ReadonlySet<string>): Promise<string[]> {
  const faults = await Promise.all(
    scene.applications.map((application) => close(scene, application, goodCommits)),
  );
  return faults.flat();
}

async function close(
  { fleet, watchers, signal }: Scene,
  application: string,
  goodCommits: ReadonlySet<string>,
): Promise<string[]> {
  const { client } = fleet;
  const filter = { application, status: BuildStatus.SUCCEEDED };
  for await (const { id: buildId, commitSha } of client.builds.list(filter, { signal })) {
    if (!goodCommits.has(commitSha)) continue;
    const request = { buildId, waitForReplication: true, creator: CREATOR, reason: "closing" };
    const { id } = await client.deployments.create(request, { signal });
    watchers.deployment(id);
    await promoteAll({ client, ask: askOnce, signal }, id);
    const { deployment } = await client.deployments.get(id, { signal });
    if (deployment.state === DeploymentState.SUCCEEDED) return [];
    const why = deployment.failure?.message ?? "";
    return [`${application}: the last deployment is ${DeploymentState[deployment.state]}: ${why}`];
  }
  return [`${application} has no build that succeeded`];
}

/** Nobody is killed any more: every call is answered. */
function askOnce<T>(_what: string, call: () => Promise<T>): Promise<T> {
  return call();
}
