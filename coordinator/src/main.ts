import process from "node:process";
import { checkCertificateFiles, checkSecretFiles, withOptions } from "@slipway/proto/files";
import { MetricsServer } from "@slipway/proto/metrics-server";
import { Command, CommanderError, InvalidArgumentError } from "commander";
import { pino, type Logger } from "pino";
import { Registry } from "prom-client";
import {
  parseListenAddress,
  parseLocalAddress,
  resolveConfig,
  type CoordinatorConfig,
  type CoordinatorOptions,
  type NatsRevocationConfig,
} from "./config.js";
import type { TlsFiles } from "./auth/server-certificates.js";
import { connectionLimits } from "./connection-limits.js";
import { startCoordinator } from "./index.js";
import { certificateCommand, initCommand } from "./init-command.js";
import { addKeyOptions, type KeyOptions, keyConfig } from "./key-options.js";
import { generateKey } from "./keygen.js";
import { keysCommand } from "./keys-command.js";
import { option } from "./option.js";
import { tokenCommand } from "./token-command.js";
import { natsConfigCommand, natsUserCommand } from "./nats-config-command.js";
import { wholeNumber } from "./whole-number.js";

interface ServeOptions extends KeyOptions {
  listen: string;
  insecure?: true;
  tlsCert?: string;
  tlsKey?: string;
  tlsClientCa?: string;
  databaseUrl: string;
  replicationDatabaseUrl: string;
  nats: string;
  natsCredentials?: string;
  natsCa?: string;
  natsIssuer?: string;
  natsSystemCredentials?: string;
  natsOperatorKey?: string;
  regionNats: Record<string, string[]>;
  membershipDays: number;
  requireProvenance?: true;
  hookSecretFile?: string;
  maxConnections: number;
  maxConnectionsPerAddress: number;
  metricsListen?: string;
  logLevel: string;
}

const DAY_MS = 24 * 3_600_000;
const LOG_LEVELS = ["trace", "debug", "info", "warn", "error", "fatal"];

/** The command that is being done. */
let running: Command | undefined;
const program = new Command("slipway-coordinator")
  .description("Build queue, goal state and deployments of Slipway.")
  .exitOverride()
  .showHelpAfterError("(--help shows the options)")
  .hook("preAction", (_, command) => {
    running = command;
  });

addKeyOptions(program.command("serve"))
  .description("Migrates both databases and serves gRPC.")
  .addOption(option("--listen <host:port>", "where to serve gRPC").default("127.0.0.1:7700"))
  .addOption(
    option(
      "--insecure",
      "no tokens and no encryption, even beyond loopback: whoever reaches it may do everything",
    ),
  )
  .addOption(option("--tls-cert <file>", "certificate chain (PEM); read again when it changes"))
  .addOption(option("--tls-key <file>", "its private key (PEM)"))
  .addOption(
    option("--tls-client-ca <file>", "callers need a certificate of this authority as well"),
  )
  .addOption(option("--database-url <url>", "Postgres, main database").makeOptionMandatory())
  .addOption(
    option(
      "--replication-database-url <url>",
      "Postgres, replication status",
    ).makeOptionMandatory(),
  )
  .addOption(option("--nats <urls>", "global NATS, comma-separated").makeOptionMandatory())
  .addOption(option("--nats-credentials <file>", "from nats-config; none: none are shown"))
  .addOption(
    option("--nats-ca <file>", "PEM, of who signed NATS servers; none: TLS is not asked for"),
  )
  .addOption(option("--nats-issuer <file>", "from nats-config: makes NATS users of those who join"))
  .addOption(
    option(
      "--nats-system-credentials <file>",
      "from nats-config: shuts revoked members out at once; with --nats-operator-key, --nats-issuer",
    ),
  )
  .addOption(option("--nats-operator-key <file>", "from nats-config: operator-signing.nk"))
  .addOption(
    option(
      "--region-nats <region=url>",
      "NATS of a region that does not share the global one, to revoke there; may be given again",
    )
      .argParser(parseRegionUrls)
      .default({}, "none"),
  )
  .addOption(
    option("--membership-days <number>", "how long a membership holds, until it is renewed")
      .argParser(wholeNumber(1, 365))
      .default(7),
  )
  .addOption(
    option(
      "--require-provenance",
      "take only builds that their builders, members all, have signed",
    ),
  )
  .addOption(option("--hook-secret-file <file>", "secret that signs notifications; none: no hooks"))
  .addOption(
    option("--max-connections <number>", "connections at once; limits of strangers follow from it")
      .argParser(wholeNumber(10, 999_999))
      .default(10_000),
  )
  .addOption(
    option("--max-connections-per-address <number>", "the same of one address, such as a NAT's")
      .argParser(wholeNumber(10, 999_999))
      .default(5_000),
  )
  .addOption(
    option(
      "--metrics-listen <host:port>",
      "metrics and health over HTTP; a port alone is 127.0.0.1's",
    ),
  )
  .addOption(
    option("--log-level <level>", "least level logged").choices(LOG_LEVELS).default("info"),
  )
  .action(serve);

program
  .command("keygen")
  .description("Makes the Ed25519 key pair for goals: FILE (private, PEM) and FILE.pub.")
  .addOption(option("--out <file>", "where to write; refused if it exists").makeOptionMandatory())
  .action(async ({ out }: { out: string }) => {
    await generateKey(out);
  });

for (const command of [
  initCommand(),
  certificateCommand(),
  natsConfigCommand(),
  tokenCommand(),
  natsUserCommand(),
  keysCommand(),
]) {
  inherit(command, program);
  program.addCommand(command);
}

function natsRevocation({
  natsIssuer,
  natsSystemCredentials,
  natsOperatorKey,
  regionNats: regionUrls,
}: ServeOptions): NatsRevocationConfig | undefined {
  if (natsSystemCredentials === undefined && natsOperatorKey === undefined) return undefined;
  if (
    natsSystemCredentials === undefined ||
    natsOperatorKey === undefined ||
    natsIssuer === undefined
  ) {
    throw new Error(
      "--nats-system-credentials, --nats-operator-key and --nats-issuer go together: all of them " +
        "are needed to shut a revoked member out of NATS",
    );
  }
  return {
    systemCredentialsFile: natsSystemCredentials,
    operatorKeyFile: natsOperatorKey,
    regionUrls,
  };
}

/** REGION=URL, or several with commas between, onto what came before. */
function parseRegionUrls(text: string, before: Record<string, string[]>): Record<string, string[]> {
  const urls = { ...before };
  for (const pair of text.split(",")) {
    const [, region, url] = /^\s*([a-z0-9-]+)=(\S+)\s*$/.exec(pair) ?? [];
    if (region === undefined || url === undefined) {
      throw new InvalidArgumentError("It must be REGION=URL.");
    }
    urls[region] = [...(urls[region] ?? []), url];
  }
  return urls;
}

/** Bad usage ends all commands in the same way. */
function inherit(command: Command, from: Command): void {
  command.copyInheritedSettings(from);
  for (const inner of command.commands) inherit(inner, command);
}

async function serve(options: ServeOptions): Promise<void> {
  const log = pino({ level: options.logLevel });
  const asked = (): CoordinatorOptions => ({
    listen: parseListenAddress(options.listen),
    authentication: options.insecure === true ? "none" : "tokens",
    tls: tlsFiles(options),
    databaseUrl: options.databaseUrl,
    replicationDatabaseUrl: options.replicationDatabaseUrl,
    natsUrls: options.nats.split(",").map((url) => url.trim()),
    natsCredentialsFile: options.natsCredentials,
    natsCaFile: options.natsCa,
    natsIssuerFile: options.natsIssuer,
    natsRevocation: natsRevocation(options),
    ...keyConfig(options),
    membershipValidForMs: options.membershipDays * DAY_MS,
    requireProvenance: options.requireProvenance === true,
    hookSecretFile: options.hookSecretFile,
    connections: connectionLimits({
      all: options.maxConnections,
      each: options.maxConnectionsPerAddress,
    }),
  });
  const config = usage(() => resolveConfig(asked()));
  const { metricsListen: at } = options;
  const metricsListen = usage(() => (at === undefined ? undefined : parseLocalAddress(at)));
  const stopping = new AbortController();
  const stopped = new Promise<void>((resolve) => {
    const stop = (signal: NodeJS.Signals): void => {
      if (stopping.signal.aborted) process.exit(1);
      log.info({ signal }, "stopping");
      stopping.abort(new Error(`stopped by ${signal} while starting`));
      resolve();
    };
    process.on("SIGTERM", stop);
    process.on("SIGINT", stop);
  });
  process.on("unhandledRejection", (error) => {
    log.fatal({ err: error }, "unhandled rejection");
    process.exit(1);
  });
  try {
    checkFiles(config, log);
    const registry = new Registry();
    const metrics =
      metricsListen &&
      (await MetricsServer.start({ listen: metricsListen, source: registry, log }));
    const coordinator = await startCoordinator(config, {
      log,
      signal: stopping.signal,
      metrics: metrics && registry,
    });
    metrics?.ready();
    await stopped;
    await coordinator.stop();
    await metrics?.stop();
  } catch (error) {
    if (stopping.signal.aborted) return;
    log.debug({ err: error }, "cannot start");
    throw error;
  }
}

/** @throws SecretFileError, CertificateFileError */
function checkFiles(config: CoordinatorConfig, log: Logger): void {
  const { tls, natsRevocation } = config;
  const warnings = checkSecretFiles({
    "--tls-key": tls?.keyFile,
    "--goal-key": config.goalKeyFile,
    "--membership-key": config.membershipKeyFile,
    "--hook-secret-file": config.hookSecretFile,
    "--nats-credentials": config.natsCredentialsFile,
    "--nats-issuer": config.natsIssuerFile,
    "--nats-system-credentials": natsRevocation?.systemCredentialsFile,
    "--nats-operator-key": natsRevocation?.operatorKeyFile,
  });
  for (const warning of warnings) log.warn(warning);
  checkCertificateFiles({
    "--tls-cert": tls?.certFile,
    "--tls-client-ca": tls?.clientCaFile,
    "--nats-ca": config.natsCaFile,
  });
}

/** @throws Error with a one-line reason. */
function tlsFiles({ tlsCert, tlsKey, tlsClientCa }: ServeOptions): TlsFiles | undefined {
  if (tlsCert !== undefined && tlsKey !== undefined) {
    return { certFile: tlsCert, keyFile: tlsKey, clientCaFile: tlsClientCa };
  }
  if (tlsCert === undefined && tlsKey === undefined && tlsClientCa === undefined) return undefined;
  throw new Error("--tls-cert and --tls-key go together, and --tls-client-ca with both");
}

/** Runs what checks an option; its error is bad usage. */
function usage<T>(check: () => T): T {
  try {
    return check();
  } catch (error) {
    throw new CommanderError(2, "slipway.usage", (error as Error).message);
  }
}

try {
  await program.parseAsync();
  process.exit(0);
} catch (error) {
  if (error instanceof CommanderError) {
    // Commander has said its own errors already.
    if (error.code === "slipway.usage") process.stderr.write(`${error.message}\n`);
    process.exit(error.exitCode === 0 ? 0 : 2);
  }
  const message = error instanceof Error ? error.message : String(error);
  process.stderr.write(`${withOptions(message, running)}\n`);
  process.exit(1);
}
