import { BuildStatus, ReplicationState, type Build, type Replication } from "@slipway/proto";
import type { Context } from "../context.js";
import type { StoredBuild } from "./store.js";

/**
 * Adds where the artifacts are. If that can't be found out the builds are shown without, and not as
 * deployable: the replication database being away is no reason to hide a build.
 */
export async function viewBuilds(
  { replicationStatus, log }: Pick<Context, "replicationStatus" | "log">,
  stored: readonly StoredBuild[],
): Promise<Build[]> {
  const digests = stored.flatMap(({ build }) => build.artifact?.digest ?? []);
  if (digests.length === 0) return stored.map(({ build }) => build);
  let known: ReadonlyMap<string, readonly Replication[]> = new Map();
  try {
    known = await replicationStatus.get([...new Set(digests)]);
  } catch (error) {
    log.warn({ err: error }, "builds are shown without their replication status");
  }
  return stored.map((one) => addReplications(one, known));
}

/** The same, and of those that are queued whether anybody is there to take them. */
export async function viewQueued(
  context: Pick<Context, "replicationStatus" | "log" | "connectedBuilders">,
  stored: readonly StoredBuild[],
): Promise<Build[]> {
  const builds = await viewBuilds(context, stored);
  if (!builds.some(isQueued)) return builds;
  const queueing = await context.connectedBuilders.queueing();
  return builds.map((build) => (isQueued(build) ? { ...build, queueing } : build));
}

/** One build, as `viewQueued` has it. */
export async function viewBuild(
  context: Pick<Context, "replicationStatus" | "log" | "connectedBuilders">,
  stored: StoredBuild,
): Promise<Build> {
  const [build = stored.build] = await viewQueued(context, [stored]);
  return build;
}

function isQueued({ status }: Build): boolean {
  return status === BuildStatus.QUEUED;
}

/** Pure: a build with the replications of its own regions. */
export function addReplications(
  { build, regions }: StoredBuild,
  known: ReadonlyMap<string, readonly Replication[]>,
): Build {
  const all = known.get(build.artifact?.digest ?? "") ?? [];
  const replications = all.filter(({ region }) => regions.includes(region));
  const complete = new Set(
    replications
      .filter(({ state }) => state === ReplicationState.COMPLETE)
      .map(({ region }) => region),
  );
  const deployable =
    build.artifact !== undefined && regions.every((region) => complete.has(region));
  return { ...build, replications, deployable };
}
