import process from "node:process";
import { checkCertificateFiles, checkSecretFiles, withOptions } from "@slipway/proto/files";
import { MetricsServer } from "@slipway/proto/metrics-server";
import { type Command, CommanderError } from "commander";
import { Registry } from "prom-client";
import { startBuilderAgent } from "./builder/agent.js";
import { createProgram } from "./command-line/program.js";
import { startHost } from "./host/host.js";
import { launch } from "./launcher/launcher.js";
import type { CoordinatorFiles } from "./coordinator/channel.js";
import { createLogger, type Logger, type LogLevel } from "./log.js";
import { registerAgent } from "./metrics/agent-metrics.js";
import { startRegion } from "./region/region.js";
import { closeInheritedDescriptors } from "./process/inherited-descriptors.js";
import type { RunningAgent } from "./running-agent.js";
import { type Address, createIdentity, readPrivateKey, writeIdentity } from "./swarm/index.js";

closeInheritedDescriptors();

const USAGE = 2;
const DAY_MS = 86_400_000;

/** For what an agent has begun at its start, once it was told to stop. */
const STOP_STARTING_MS = 10_000;

interface Common extends CoordinatorFiles {
  id: string;
  region?: string;
  cell?: string;
  logLevel: LogLevel;
  metricsListen?: Address | undefined;
  identityFile?: string | undefined;
  joinTokenFile?: string | undefined;
  natsCredentialsFile?: string | undefined;
  regionNatsCredentialsFile?: string | undefined;
  natsCaFile?: string | undefined;
}

/** Runs an agent until a signal: the first stops it gracefully, the second at once. */
async function run(
  role: string,
  common: Common,
  start: (log: Logger, metrics: Registry | undefined, signal: AbortSignal) => Promise<RunningAgent>,
): Promise<void> {
  const { id, region = "", cell = "", logLevel, metricsListen } = common;
  const log = createLogger(logLevel);
  const starting = new AbortController();
  let started = false;
  const stopping = new Promise<void>((resolve) => {
    let signals = 0;
    const onSignal = (signal: NodeJS.Signals): void => {
      signals += 1;
      if (signals > 1 && started) process.exit(1);
      // An exit waits for what the threads of the process are at, which may hang in a file system.
      if (signals > 1) process.kill(process.pid, "SIGKILL");
      log.info({ signal }, "stopping");
      if (!started) {
        setTimeout(() => {
          if (started) return;
          log.fatal("what was begun at the start does not stop: it is killed");
          process.kill(process.pid, "SIGKILL");
        }, STOP_STARTING_MS);
      }
      starting.abort(new Error(`stopped by ${signal} while starting`));
      resolve();
    };
    process.on("SIGTERM", onSignal);
    process.on("SIGINT", onSignal);
  });
  try {
    checkFiles(common, log);
    const registry = new Registry();
    const metrics =
      metricsListen &&
      (await MetricsServer.start({ listen: metricsListen, source: registry, log }));
    if (metrics !== undefined) registerAgent(registry, { role, id, region, cell });
    const agent = await start(log, metrics && registry, starting.signal);
    started = true;
    metrics?.ready();
    await stopping;
    await agent.stop();
    await metrics?.stop();
    log.info("stopped");
    // What a library left open must not keep a stopped agent.
    process.exit(0);
  } catch (error) {
    if (!started && starting.signal.aborted) {
      log.info({ reason: String(error) }, "stopped");
      process.exit(0);
    }
    log.debug({ err: error }, "agent failed");
    tell(error);
    process.exit(1);
  }
}

function tell(error: unknown): void {
  const message = error instanceof Error ? error.message : String(error);
  process.stderr.write(`slipway-agent: ${withOptions(message, running)}\n`);
}

/** @throws SecretFileError, CertificateFileError */
function checkFiles(files: Common, log: Logger): void {
  const { identityFile: identity, natsCaFile } = files;
  const warnings = checkSecretFiles({
    "--identity": identity,
    "--identity (of an agent that has not joined yet)": identity && `${identity}.joining`,
    "--join-token-file": files.joinTokenFile,
    "--coordinator-token-file": files.coordinatorTokenFile,
    "--coordinator-key": files.coordinatorKey,
    "--nats-credentials": files.natsCredentialsFile,
    "--region-nats-credentials": files.regionNatsCredentialsFile,
  });
  for (const warning of warnings) log.warn(warning);
  checkCertificateFiles({
    "--nats-ca": natsCaFile,
    "--coordinator-ca": files.coordinatorCa,
    "--coordinator-cert": files.coordinatorCert,
  });
}

/** The command that is being done. */
let running: Command | undefined;
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
      for (const warning of checkSecretFiles({ "--membership-key": membershipKeyFile })) {
        process.stderr.write(`slipway-agent: warning: ${warning}\n`);
      }
      const membershipKey = await readPrivateKey(membershipKeyFile);
      const expireTime = new Date(Date.now() + days * DAY_MS);
      await writeIdentity(out, createIdentity({ ...config, membershipKey, expireTime }));
    },
  },
  process.env,
).hook("preAction", (_, command) => {
  running = command;
});

try {
  await program.parseAsync();
} catch (error) {
  if (error instanceof CommanderError) {
    process.exitCode = error.exitCode === 0 ? 0 : USAGE;
  } else {
    tell(error);
    process.exitCode = 1;
  }
}
