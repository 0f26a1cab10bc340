import type { Registry } from "prom-client";
import type { BuilderCommandConfig } from "../config.js";
import { openChannel } from "../coordinator/channel.js";
import type { Logger } from "../log.js";
import { openMember } from "../membership/open-member.js";
import { registerBuilder, registerCertificate, registerToken } from "../metrics/agent-metrics.js";
import { type RunningAgent, stopOnce } from "../running-agent.js";
import { startBuilder } from "./start-builder.js";
import type { BuilderConfig } from "./config.js";

interface Surroundings {
  log: Logger;
  /** What it counts is registered here. */
  metrics: Registry | undefined;
  /** Gives up joining the fleet. */
  signal: AbortSignal;
  environment: Readonly<Record<string, string | undefined>>;
}

/** Starts a builder, as a member of the fleet if it has an identity or a token for one. */
export async function startBuilderAgent(
  config: BuilderCommandConfig,
  { log, metrics, signal, environment }: Surroundings,
): Promise<RunningAgent> {
  const cleanUp: (() => Promise<void> | void)[] = [];
  const stop = stopOnce(cleanUp, log);
  const { identityFile } = config;
  try {
    const channel = await openChannel(config, log);
    cleanUp.push(() => channel.token?.stop());
    if (metrics !== undefined) registerToken(metrics, channel.token);
    let identity: BuilderConfig["identity"];
    if (identityFile !== undefined) {
      const me = { region: "", role: "builder" as const, trust: undefined };
      const member = await openMember({ ...config, ...me, identityFile, channel, log, signal });
      cleanUp.push(() => member.stop());
      if (metrics !== undefined) registerCertificate(metrics, member);
      member.start();
      identity = () => member.identity;
    }
    const builder = await startBuilder({ ...config, channel, identity, log, environment });
    cleanUp.push(() => builder.stop());
    if (metrics !== undefined) registerBuilder(metrics, config.slots, () => builder.stats);
    return { stop };
  } catch (error) {
    await stop();
    throw error;
  }
}
