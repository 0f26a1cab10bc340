import process from "node:process";
import { CommanderError } from "commander";
import { startBuilder } from "./builder/index.js";
import { createProgram } from "./command-line.js";
import { startHost } from "./host/host.js";
import { createLogger, type Logger, type LogLevel } from "./log.js";
import { startRegion } from "./region/region.js";
import type { RunningAgent } from "./running-agent.js";
import { createIdentity, readPrivateKey, writeIdentity } from "./swarm/index.js";

const USAGE = 2;
const DAY_MS = 86_400_000;

/** Runs an agent until a signal: the first stops it gracefully, the second at once. */
async function run(level: LogLevel, start: (log: Logger) => Promise<RunningAgent>): Promise<void> {
  const log = createLogger(level);
  const stopping = new Promise<void>((resolve) => {
    let signals = 0;
    const onSignal = (signal: NodeJS.Signals): void => {
      signals += 1;
      if (signals > 1) process.exit(1);
      log.info({ signal }, "stopping");
      resolve();
    };
    process.on("SIGTERM", onSignal);
    process.on("SIGINT", onSignal);
  });
  try {
    const agent = await start(log);
    await stopping;
    await agent.stop();
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
    builder: ({ logLevel, ...config }) =>
      run(logLevel, (log) => startBuilder({ ...config, log, environment: process.env })),
    region: (config) => run(config.logLevel, (log) => startRegion(config, log)),
    host: (config) => run(config.logLevel, (log) => startHost(config, log)),
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
