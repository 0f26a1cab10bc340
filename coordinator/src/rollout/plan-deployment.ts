import {
  ReplicationState,
  type ArtifactQueryReply,
  type DeploymentStep,
  type PlanDeploymentResponse,
  type RegionPlan,
  type Replication,
  type StepReach,
} from "@slipway/proto";
import { applicationRemoved } from "../application/removed.js";
import { notFound } from "../errors.js";
import { freezesOf } from "../freeze/freezes.js";
import { queryArtifact } from "../status/artifact-query.js";
import { countHosts, listHosts } from "../status/enrolment.js";
import { findAsked, type Asked, type Choose } from "./deployer.js";
import * as store from "./deployment-store.js";
import { checkPrepared, prepare, type Prepared } from "./prepare.js";
import type { RolloutContext } from "./rollout-context.js";
import { reachOf } from "./step-reach.js";

/** As many hosts as are named of a region. */
const MAX_NAMED = 20;

/**
 * What a deployment would do: goes through all that creating it does but for storing it, and asks
 * the regions what their hosts hold. Changes nothing.
 * @throws DomainError what creating it would throw, but for freezes, which the plan tells.
 */
export async function planDeployment(
  context: RolloutContext,
  application: string,
  asked: Asked,
  choose: Choose,
): Promise<PlanDeploymentResponse> {
  const { db } = context;
  await findAsked(db, asked);
  const { prepared, supersedes, freezes } = await db.transaction(async (trx) => {
    const known = await store.readApplication(trx, application, { lock: false });
    if (known === undefined) throw notFound("application", application);
    if (known.removed) throw applicationRemoved(application, "deploy it");
    const choice = await choose(trx);
    const { creator } = asked;
    const nowhere = { id: "", application, creator, choice, known: 0, locked: known };
    const prepared = await prepare(trx, context, nowhere);
    await checkPrepared(trx, prepared);
    const active = await store.activeDeployment(trx, application);
    const isFree = choice.isRollback || choice.overrideFreeze;
    const freezes = isFree ? [] : await freezesOf(trx, application, choice.regions);
    return { prepared, supersedes: active?.deployment.id ?? "", freezes };
  });
  const { run, previous } = prepared.goal;
  const steps = [...prepared.snapshot.steps];
  const regions = await planRegions(context, prepared);
  return {
    application,
    buildId: run.buildId,
    commitSha: run.commitSha,
    artifactSizeBytes: run.artifactSizeBytes,
    strategy: prepared.strategy,
    steps,
    regions,
    reaches: reachesOf(steps, regions),
    supersedes,
    previousBuildId: previous?.buildId ?? "",
    droppedRegions: [...prepared.droppedRegions],
    freezes,
  };
}

function reachesOf(steps: readonly DeploymentStep[], regions: readonly RegionPlan[]): StepReach[] {
  const counts = new Map(regions.map(({ region, hostCount }) => [region, hostCount]));
  return steps.flatMap(({ regions: own, percent }, index) =>
    own.map((region) => {
      const hostCount = counts.get(region) ?? 0;
      const {
        expected: expectedHosts,
        least: leastHosts,
        most: mostHosts,
      } = reachOf(hostCount, percent);
      return { step: index + 1, region, hostCount, expectedHosts, leastHosts, mostHosts };
    }),
  );
}

async function planRegions(context: RolloutContext, { goal }: Prepared): Promise<RegionPlan[]> {
  const { db, nats, log } = context;
  const { application, selector, run, regions } = goal;
  const { artifactDigest } = run;
  const query = { application, selector: { ...selector }, artifactDigest };
  const [enrolled, replications, replies] = await Promise.all([
    countHosts(db, goal),
    replicationsOf(context, artifactDigest),
    Promise.all(regions.map((region) => queryArtifact(nats, log, region, query))),
  ]);
  const plans = regions.map(async (region, index): Promise<RegionPlan> => {
    const reply = replies[index];
    const hostCount = enrolled.get(region) ?? 0;
    // Of hosts that the region's agents do not count nothing is known.
    const downloadCount = Math.max(0, hostCount - (reply?.holdingCount ?? 0));
    return {
      region,
      hostCount,
      downloadCount,
      downloadHosts: await downloadHosts(context, prepareHosts(goal, region), reply),
      bytesToMove: downloadCount * run.artifactSizeBytes,
      replication: replications.get(region)?.state ?? ReplicationState.UNSPECIFIED,
      unreachable: reply === undefined,
    };
  });
  return Promise.all(plans);
}

/** Those that the region names; if it does not answer, the first of all. */
async function downloadHosts(
  { db }: RolloutContext,
  filter: { selection: { regions: string[]; selector: Readonly<Record<string, string>> } },
  reply: ArtifactQueryReply | undefined,
): Promise<string[]> {
  if (reply !== undefined) return reply.missingHosts.slice(0, MAX_NAMED);
  const hosts = await listHosts(db, { ...filter, limit: MAX_NAMED });
  return hosts.map(({ host }) => host.hostId);
}

function prepareHosts({ selector }: Prepared["goal"], region: string) {
  return { selection: { regions: [region], selector } };
}

async function replicationsOf(
  { replicationStatus }: RolloutContext,
  digest: string,
): Promise<ReadonlyMap<string, Replication>> {
  const known = (await replicationStatus.get([digest])).get(digest) ?? [];
  return new Map(known.map((replication) => [replication.region, replication]));
}
