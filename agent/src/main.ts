import process from "node:process";
import { MetricsServer } from "@slipway/proto/metrics-server";
import { CommanderError } from "commander";
import { Registry } from "prom-client";
import { startBuilderAgent } from "./builder/agent.js";
import { createProgram } from "./command-line/program.js";
import { startHost } from "./host/host.js";
import { launch } from "./launcher/launcher.js";
import { createLogger, type Logger, type LogLevel } from "./log.js";
import { registerAgent } from "./metrics/agent-metrics.js";
import { startRegion } from "./region/region.js";
import { closeInheritedDescriptors } from "./process/inherited-descriptors.js";
import type { RunningAgent } from "./running-agent.js";
import { type Address, createIdentity, readPrivateKey, writeIdentity } from "./swarm/index.js";

closeInheritedDescriptors();

const USAGE = 2;
const DAY_MS = 86_400_000;

interface Common {
  id: string;
  region?: string;
  cell?: string;
  logLevel: LogLevel;
  metricsListen?: Address | undefined;
}

/** Runs an agent until a signal: the first stops it gracefully, the second at once. */
async function run(
  role: string,
  { id, region = "", cell = "", logLevel, metricsListen }: Common,
  start: (log: Logger, metrics: Registry | undefined, signal: AbortSignal) => Promise<RunningAgent>,
): Promise<void> {
  const log = createLogger(logLevel);
  const starting = new AbortController();
  const stopping = new Promise<void>((resolve) => {
    let signals = 0;
    const onSignal = (signal: NodeJS.Signals): void => {
      signals += 1;
      if (signals > 1) process.exit(1);
      log.info({ signal }, "stopping");
      starting.abort(new Error(`stopped by ${signal} while starting`));
      resolve();
    };
    process.on("SIGTERM", onSignal);
    process.on("SIGINT", onSignal);
  });
  try {
    const registry = new Registry();
    const metrics =
      metricsListen &&
      (await MetricsServer.start({ listen: metricsListen, source: registry, log }));
    if (metrics !== undefined) registerAgent(registry, { role, id, region, cell });
    const agent = await start(log, metrics && registry, starting.signal);
    metrics?.ready();
    await stopping;
    await agent.stop();
    await metrics?.stop();
    log.info("stopped");
    // What a library left open must not keep a stopped agent.
    process.exit(0);
  } catch (error) {
    log.fatal({ err: error }, "agent failed");
    process.stderr.write(
      `slipway-agent: ${error instanceof Error ? error.message : String(error)}\n`,
    );
    process.exit(1);
  }
}

const program = createProgram(
  {
    builder: (config) =>
      run("builder", config, (log, metrics, signal) =>
        startBuilderAgent(config, { log, metrics, signal, environment: process.env }),
      ),
    region: (config) =>
      run("region", config, (log, metrics, signal) => startRegion(config, log, metrics, signal)),
    host: (config) =>
      run("host", config, (log, metrics, signal) => startHost(config, log, metrics, signal)),
    launch: async ({ dataDir, logLevel, args }) => {
      const controller = new AbortController();
      process.on("SIGTERM", () => controller.abort());
      process.on("SIGINT", () => controller.abort());
      await launch({
        dataDir,
        self: [process.execPath, ...process.execArgv, process.argv[1] ?? ""],
        args,
        environment: process.env,
        log: createLogger(logLevel),
        signal: controller.signal,
      });
    },
    identity: async ({ membershipKeyFile, days, out, ...config }) => {
      const membershipKey = await readPrivateKey(membershipKeyFile);
      const expireTime = new Date(Date.now() + days * DAY_MS);
      await writeIdentity(out, createIdentity({ ...config, membershipKey, expireTime }));
    },
  },
  process.env,
);

try {
  await program.parseAsync();
} catch (error) {
  if (error instanceof CommanderError) {
    process.exitCode = error.exitCode === 0 ? 0 : USAGE;
  } else {
    process.stderr.write(
      `slipway-agent: ${error instanceof Error ? error.message : String(error)}\n`,
    );
    process.exitCode = 1;
  }
}
