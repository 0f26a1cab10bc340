import type { Strategy } from "@slipway/proto";
import type { Knex } from "knex";
import { checkStrategy } from "../application/strategy.js";
import { failedPrecondition } from "../errors.js";
import { freezesAtCommit } from "../freeze/freezes.js";
import { describeMissing, missingRegions, type MissingRegion } from "../replication/deployable.js";
import { planReplications } from "../replication/replication-store.js";
import { Violations } from "../validate.js";
import { deploy, findAsked, type Asked, type Choose } from "./deployer.js";
import type { StoredDeployment } from "./deployment.js";
import { describeFreezes } from "./describe-freezes.js";
import { planRelease, type ReleasePlan } from "./release.js";
import type { RolloutContext } from "./rollout-context.js";

/** What is to be deployed, and how. */
export interface CreateOptions {
  buildId: string;
  waitForReplication: boolean;
  /** Instead of the application's. */
  strategy: Strategy | undefined;
  overrideFreeze: boolean;
}

/**
 * Deploys a build in all regions of its application revision.
 * @throws DomainError NOT_FOUND for an unknown build, INVALID_ARGUMENT for a bad strategy,
 *   FAILED_PRECONDITION if it has not succeeded, is not replicated (unless `waitForReplication`), is
 *   frozen, or no host is enrolled for it.
 */
export async function createDeployment(
  context: RolloutContext,
  options: CreateOptions,
  asked: Asked,
): Promise<StoredDeployment> {
  // Said before: answered again, whatever has become of the build's blobs since.
  const before = await findAsked(context.db, asked);
  if (before !== undefined) return before;
  const { application, choose } = await chooseBuild(context, options);
  return deploy(context, application, asked, async (db) => {
    const choice = await choose(db);
    if (!choice.overrideFreeze) await checkFreezes(db, application, choice.regions);
    return choice;
  });
}

/**
 * Chooses a build, after all checks that need no lock; whether it is frozen is for whoever begins it.
 * @param path of what was asked for in the request.
 * @throws DomainError
 */
export async function chooseBuild(
  context: RolloutContext,
  { buildId, waitForReplication, strategy: given, overrideFreeze }: CreateOptions,
  path = "",
): Promise<{ application: string; choose: Choose }> {
  const plan = await planRelease(context.db, buildId, context.connectedBuilders);
  const { application, release, regions, selector } = plan;
  const strategy = given === undefined ? plan.strategy : checked(given, plan, `${path}strategy`);
  const missing = await regionsWithout(context, plan);
  if (missing.length > 0 && !waitForReplication) throw notDeployable(buildId, missing);
  const choice = { release, regions, selector, strategy, isRollback: false, overrideFreeze };
  return { application, choose: () => Promise.resolve(choice) };
}

function checked(
  strategy: Strategy,
  { regions, release: { run } }: ReleasePlan,
  field: string,
): Strategy {
  const found = new Violations();
  const result = checkStrategy(strategy, { regions, run }, field, found);
  found.throwIfAny();
  return result;
}

async function checkFreezes(
  db: Knex,
  application: string,
  regions: readonly string[],
): Promise<void> {
  const freezes = await freezesAtCommit(db, application, regions);
  if (freezes.length === 0) return;
  throw failedPrecondition(
    "FROZEN",
    `${describeFreezes(freezes).join("; ")}; wait, or override the freeze and say why`,
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
