import type { Endings } from "@slipway/proto/files";
import type { Registry } from "prom-client";
import type { Context, Service } from "../context.js";
import { countStates } from "../rollout/count-states.js";
import { Sweeper } from "../sweeper.js";
import { registerCoordinator } from "./coordinator-metrics.js";

/** Ends of tokens are told for so long before. */
const TOKENS_MS = 30 * 24 * 3_600_000;

/** Registers the metrics. Answers what runs for those that are not to be read at a scrape. */
export function metricsServices(
  { config, db, stats, builderSessions, status, fleetKeys, authenticator, log }: Context,
  registry: Registry,
  {
    connected,
    natsEndings,
  }: {
    connected: () => { postgres: boolean; nats: boolean };
    natsEndings: Pick<Endings, "timestamps">;
  },
): readonly (readonly [string, Service])[] {
  let deployments: Awaited<ReturnType<typeof countStates>> | undefined;
  registerCoordinator(registry, {
    stats,
    builders: () => builderSessions.size,
    twins: () => ({ builder: builderSessions.twins, ...status.twins() }),
    deployments: () => deployments,
    connected,
    natsEndings: () => natsEndings.timestamps,
    keySet: () => fleetKeys && { version: fleetKeys.set.version, daysLeft: fleetKeys.daysLeft },
    endingTokens: () => authenticator?.ending(TOKENS_MS) ?? [],
  });
  const count = async (): Promise<number> => {
    try {
      deployments = await countStates(db);
    } catch (error) {
      deployments = undefined;
      throw error;
    }
    // Nothing to log.
    return 0;
  };
  const sweeps = [{ what: "counting deployments", run: count }];
  const intervalMs = config.reconcileIntervalMs;
  return [["counting deployments", new Sweeper({ sweeps, intervalMs, log })]];
}
