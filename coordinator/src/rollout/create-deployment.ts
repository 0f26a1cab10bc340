import { failedPrecondition } from "../errors.js";
import { describeMissing, missingRegions, type MissingRegion } from "../replication/deployable.js";
import { planReplications } from "../replication/replication-store.js";
import { deploy, findAsked, type Asked } from "./deployer.js";
import type { StoredDeployment } from "./deployment.js";
import { planRelease, type ReleasePlan } from "./release.js";
import type { RolloutContext } from "./rollout-context.js";

/**
 * Deploys a build in all regions of its application revision.
 * @throws DomainError NOT_FOUND for an unknown build, FAILED_PRECONDITION if it has not succeeded,
 *   is not replicated (unless `waitForReplication`), or no host is enrolled for it.
 */
export async function createDeployment(
  context: RolloutContext,
  buildId: string,
  waitForReplication: boolean,
  asked: Asked,
): Promise<StoredDeployment> {
  // Said before: answered again, whatever has become of the build's blobs since.
  const before = await findAsked(context.db, asked);
  if (before !== undefined) return before;
  const plan = await planRelease(context.db, buildId);
  const missing = await regionsWithout(context, plan);
  if (missing.length > 0 && !waitForReplication) throw notDeployable(buildId, missing);
  return deploy(context, plan.application, asked, () =>
    Promise.resolve({
      release: plan.release,
      regions: plan.regions,
      selector: plan.selector,
      isRollback: false,
      started: missing.length === 0,
    }),
  );
}

/** The regions that do not hold the release's artifact; makes rows that are missing. */
export async function regionsWithout(
  { replicationDb, replicationStatus }: Pick<RolloutContext, "replicationDb" | "replicationStatus">,
  { release, regions, finishTime }: Pick<ReleasePlan, "release" | "regions" | "finishTime">,
): Promise<MissingRegion[]> {
  const { artifactDigest, artifactSizeBytes: sizeBytes } = release;
  const known = await replicationStatus.get([artifactDigest]);
  const missing = missingRegions(regions, known.get(artifactDigest) ?? []);
  if (missing.some(({ replication }) => replication === undefined)) {
    await planReplications(replicationDb, [{ artifactDigest, sizeBytes, regions, finishTime }]);
  }
  return missing;
}

function notDeployable(buildId: string, missing: readonly MissingRegion[]): Error {
  return failedPrecondition(
    "BUILD_NOT_REPLICATED",
    `build ${buildId} is not complete in all of its regions: ${describeMissing(missing)}; ` +
      "try again once it is, or ask to wait for replication",
  );
}
