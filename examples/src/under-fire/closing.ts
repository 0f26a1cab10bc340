import { BuildStatus, DeploymentState } from "@slipway/sdk";
import type { Scene } from "./judge.js";
import { promoteAll } from "./steering.js";

/**
 * Brings every application that was not removed to a good build, now that nobody disturbs it any more.
 * @param goodCommits - Whose releases run.
 * @returns what did not go well, in words.
 */
export async function closeAll(scene: Scene, goodCommits: ReadonlySet<string>): Promise<string[]> {
  const { client } = scene.fleet;
  const there: string[] = [];
  for await (const { name } of client.applications.list({ signal: scene.signal })) there.push(name);
  const faults = await Promise.all(
    there.map((application) => close(scene, application, goodCommits)),
  );
  return faults.flat();
}

async function close(
  { people, asker, watchers, signal }: Scene,
  application: string,
  goodCommits: ReadonlySet<string>,
): Promise<string[]> {
  const client = people.creator;
  const filter = { application, status: BuildStatus.SUCCEEDED };
  for await (const { id: buildId, commitSha } of client.builds.list(filter, { signal })) {
    if (!goodCommits.has(commitSha)) continue;
    // A freeze whose creation was never answered is in force for a while still.
    const request = { buildId, waitForReplication: true, overrideFreeze: true, reason: "closing" };
    const { id } = await client.deployments.create(request, { signal });
    watchers.deployment(id);
    const ask = <T>(what: string, call: () => Promise<T>): Promise<T | undefined> =>
      asker.ask(what, call, signal);
    const surprised = (what: string): void => void asker.surprises.push(what);
    await promoteAll({ people, ask, surprised, signal }, id);
    const { deployment } = await client.deployments.get(id, { signal });
    if (deployment.state === DeploymentState.SUCCEEDED) return [];
    const why = deployment.failure?.message ?? "";
    return [`${application}: the last deployment is ${DeploymentState[deployment.state]}: ${why}`];
  }
  return [`${application} has no build that succeeded`];
}
