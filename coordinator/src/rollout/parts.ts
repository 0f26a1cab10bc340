import type { Context, Service } from "../context.js";
import { GoalBucket } from "../goal/goal-bucket.js";
import { GoalPublisher } from "../goal/goal-publisher.js";
import type { GoalSigner } from "../goal/signing.js";
import { ReplicationPlanner } from "../replication/planner.js";
import { replicationReader } from "../replication/replication-store.js";
import { StatusTable } from "../status/status-table.js";
import { StatusWatcher } from "../status/status-watcher.js";
import { DeploymentFeeds } from "./deployment-feeds.js";
import { Leadership } from "./leadership.js";
import { Reconciler } from "./reconciler.js";
import type { RolloutBase, RolloutContext, RolloutParts } from "./rollout-context.js";

/** Puts together what deployments need; nothing runs yet. */
export function createDeploymentParts(base: RolloutBase, signer: GoalSigner): RolloutParts {
  const { nats, log, clock, steady, replicationDb, stats } = base;
  const status = new StatusTable(() => steady.now());
  const replicationStatus = replicationReader(replicationDb);
  return {
    replicationStatus,
    status,
    goals: new GoalPublisher({ bucket: new GoalBucket(nats, base), signer, clock, log, stats }),
    deploymentFeeds: new DeploymentFeeds({ ...base, clock: steady, status, replicationStatus }),
  };
}

/** What runs beside the calls, in the order of starting. */
export function deploymentServices(
  context: RolloutContext & Pick<Context, "fleetKeys">,
): readonly (readonly [string, Service])[] {
  const { status, log, config, stats, fleetKeys } = context;
  const signFault = (): string | undefined => fleetKeys?.faultOf("goal");
  const reconciler = new Reconciler(context);
  const lead = async (signal: AbortSignal): Promise<void> => {
    stats.leads = true;
    await reconciler.lead(signal).finally(() => (stats.leads = false));
  };
  return [
    ["the status watch", new StatusWatcher({ ...context, table: status })],
    ["the replication planner", new ReplicationPlanner(context)],
    ["the deployment feeds", context.deploymentFeeds],
    ["the reconciler", new Leadership({ url: config.databaseUrl, log, lead, signFault })],
  ];
}
