import { Command, InvalidArgumentError, Option } from "commander";
import {
  baseEnvironment,
  ConfigError,
  DEFAULT_CELL,
  parseAddress,
  parseAddresses,
  parseBytes,
  parseHostPort,
  parseInteger,
  parseLabels,
  parseList,
  parseLocalAddress,
  parseLogLevel,
  parseName,
  parseRate,
  parseVariables,
  type BuilderCommandConfig,
  type HostConfig,
  type IdentityConfig,
  type LaunchConfig,
  type RegionConfig,
} from "./config.js";
import type { CoordinatorFiles } from "./coordinator/channel.js";
import type { LogLevel } from "./log.js";
import type { Address } from "./swarm/index.js";
import { AGENT_VERSION } from "./version.js";

/** What a command line asks for. */
export interface Commands {
  builder(config: BuilderCommandConfig): Promise<void>;
  region(config: RegionConfig): Promise<void>;
  host(config: HostConfig): Promise<void>;
  launch(config: LaunchConfig): Promise<void>;
  identity(config: IdentityConfig): Promise<void>;
}

interface CommonOptions extends CoordinatorFiles {
  metricsListen?: Address;
  id: string;
  region: string;
  dataDir: string;
  logLevel: LogLevel;
  coordinator: string;
  blobStore: string;
  regionNats: string[];
  regionNatsCredentials?: string;
  natsCa?: string;
  identity: string;
  listen: Address;
  bootstrap: Address[];
}

const DAY_SECONDS = 86_400;
const IDENTITY = "from the identity command, or made with --join-token-file";

/** The agent's command line. Bad options make it throw CommanderError. */
export function createProgram(
  commands: Commands,
  ownEnvironment: Readonly<Record<string, string | undefined>>,
): Command {
  const program = new Command("slipway-agent")
    .description("The agents of Slipway. Every option may also come from SLIPWAY_<ITS_NAME>.")
    .version(AGENT_VERSION)
    .exitOverride();

  program
    .command("builder")
    .description("Build commits into artifacts.")
    .addOption(need("--id <name>", "unique among builders", parseName))
    .addOption(need("--coordinator <host:port>", "the coordinator's gRPC address", parseHostPort))
    .addOption(need("--blob-store <directory>", "the main blob store"))
    .addOption(need("--data-dir <directory>", "what the agent owns"))
    .addOption(
      may("--slots <number>", "builds at a time", (text) => parseInteger(text, 1, 1_000)).default(
        1,
      ),
    )
    .addOption(may("--identity <file>", "of the fleet's; made with --join-token-file", parseText))
    .addOption(joinTokenFile())
    .addOption(coordinatorCa())
    .addOption(coordinatorTokenFile())
    .addOption(coordinatorCert())
    .addOption(coordinatorKey())
    .addOption(metricsListen())
    .addOption(logLevel())
    .addOption(
      may("--build-user <name>", "whom root runs builds as", parseText).conflicts("buildAsRoot"),
    )
    .addOption(option("--build-as-root", "root runs builds as root"))
    .addOption(
      may("--build-cpu-seconds <number>", "processor time of one process of a build", parseCount),
    )
    .addOption(may("--build-memory <bytes>", "memory of one process of a build", parseBytes))
    .addOption(may("--build-file-bytes <bytes>", "largest file that a build can write", parseBytes))
    .addOption(may("--build-processes <number>", "processes of the builds' user", parseCount))
    .action((options: BuilderOptions) => {
      const { buildUser, buildAsRoot, buildCpuSeconds, buildMemory, ...rest } = options;
      const { buildFileBytes, buildProcesses, identity, ...same } = rest;
      const limits = {
        cpuSeconds: buildCpuSeconds,
        memoryBytes: buildMemory,
        fileBytes: buildFileBytes,
        processes: buildProcesses,
      };
      const confinement = { user: buildUser, asRoot: buildAsRoot === true, limits };
      return commands.builder({ ...same, identityFile: identity, confinement });
    });

  program
    .command("region")
    .description("Copy goals and artifacts into a region, seed its swarm, count its hosts.")
    .addOption(need("--id <name>", "unique among the region's agents", parseName))
    .addOption(need("--region <name>", "the region", parseName))
    .addOption(need("--coordinator <host:port>", "the coordinator's gRPC address", parseHostPort))
    .addOption(need("--nats <urls>", "the global NATS, with commas between", parseList))
    .addOption(need("--region-nats <urls>", "the region's NATS, with commas between", parseList))
    .addOption(may("--nats-credentials <file>", "of the global NATS, from nats-config", parseText))
    .addOption(regionNatsCredentials())
    .addOption(natsCa())
    .addOption(need("--main-blob-store <directory>", "the main blob store"))
    .addOption(need("--blob-store <directory>", "the region's blob store"))
    .addOption(
      option("--blob-store-shared", "other agents use it too: the one that leads copies into it"),
    )
    .addOption(need("--data-dir <directory>", "what the agent owns"))
    .addOption(need("--identity <file>", IDENTITY))
    .addOption(joinTokenFile())
    .addOption(coordinatorCa())
    .addOption(coordinatorTokenFile())
    .addOption(coordinatorCert())
    .addOption(coordinatorKey())
    .addOption(rootPublicKey())
    .addOption(membershipPublicKey())
    .addOption(goalPublicKey("SPKI PEM, with commas between: other goals are not copied"))
    .addOption(need("--listen <host:port>", "swarm: udp and tcp", parseAddress))
    .addOption(
      need("--bootstrap <addresses>", "the region's agents, with commas between", parseAddresses),
    )
    .addOption(
      may("--cells <names>", "cells to seed before hosts name them", parseCells).default([]),
    )
    .addOption(
      may("--recheck-seconds <number>", "between checks of the region's blob store", (text) =>
        parseInteger(text, 1, DAY_SECONDS),
      ).default(3_600),
    )
    .addOption(uploadCap())
    .addOption(downloadCap())
    .addOption(metricsListen())
    .addOption(logLevel())
    .action((options: CommonOptions & RegionOptions, command: Command) => {
      const {
        identity,
        rootPublicKey,
        membershipPublicKey,
        goalPublicKey,
        blobStoreShared,
        recheckSeconds,
        natsCredentials,
        regionNatsCredentials,
        natsCa,
        ...same
      } = options;
      requireTrust(command, options, ["membershipPublicKey"]);
      return commands.region({
        ...same,
        identityFile: identity,
        rootPublicKeyFiles: rootPublicKey,
        membershipPublicKeyFile: membershipPublicKey,
        goalPublicKeyFiles: goalPublicKey,
        blobStoreShared: blobStoreShared === true,
        recheckMs: recheckSeconds * 1_000,
        natsCredentialsFile: natsCredentials,
        regionNatsCredentialsFile: regionNatsCredentials,
        natsCaFile: natsCa,
      });
    });

  program
    .command("host")
    .description("Run on a machine what its region's goals say.")
    .addOption(need("--id <name>", "unique in the fleet", parseName))
    .addOption(need("--region <name>", "the region", parseName))
    .addOption(may("--cell <name>", "the home cell", parseName).default(DEFAULT_CELL))
    .addOption(may("--neighbour-cells <names>", "cells to keep links into", parseCells).default([]))
    .addOption(may("--label <name=value>", "a label; may be given again", parseLabels).default({}))
    .addOption(need("--region-nats <urls>", "the region's NATS, with commas between", parseList))
    .addOption(
      may("--coordinator <host:port>", "where it joins the fleet and renews", parseHostPort),
    )
    .addOption(regionNatsCredentials())
    .addOption(natsCa())
    .addOption(need("--data-dir <directory>", "what the agent owns"))
    .addOption(need("--identity <file>", IDENTITY))
    .addOption(joinTokenFile())
    .addOption(coordinatorCa())
    .addOption(coordinatorTokenFile())
    .addOption(coordinatorCert())
    .addOption(coordinatorKey())
    .addOption(rootPublicKey())
    .addOption(membershipPublicKey())
    .addOption(goalPublicKey("SPKI PEM, with commas between"))
    .addOption(need("--listen <host:port>", "swarm: udp and tcp", parseAddress))
    .addOption(
      need("--bootstrap <addresses>", "the region's agents, with commas between", parseAddresses),
    )
    .addOption(
      may("--env <NAME=VALUE>", "for releases; may be given again", parseVariables).default({}),
    )
    .addOption(
      may("--store-max-bytes <bytes>", "of artifacts, before old ones go", parseBytes).default(
        64 * 1024 ** 3,
        "64GiB",
      ),
    )
    .addOption(uploadCap())
    .addOption(downloadCap())
    .addOption(option("--stop-releases-on-exit", "else they run on and are taken over later"))
    .addOption(
      may("--agent-application <name>", "whose releases are this agent; see launch", parseName),
    )
    .addOption(option("--launch-token <token>", "from the launcher").hideHelp())
    .addOption(option("--launched-release <name>", "from the launcher").hideHelp())
    .addOption(metricsListen())
    .addOption(logLevel())
    .action((options: CommonOptions & HostOptions, command: Command) => {
      const {
        identity,
        rootPublicKey,
        membershipPublicKey,
        goalPublicKey,
        label,
        env,
        stopReleasesOnExit,
        regionNatsCredentials,
        natsCa,
        ...same
      } = options;
      requireTrust(command, options, ["membershipPublicKey", "goalPublicKey"]);
      return commands.host({
        ...same,
        labels: label,
        regionNatsCredentialsFile: regionNatsCredentials,
        natsCaFile: natsCa,
        identityFile: identity,
        rootPublicKeyFiles: rootPublicKey,
        membershipPublicKeyFile: membershipPublicKey,
        goalPublicKeyFiles: goalPublicKey,
        environment: baseEnvironment(ownEnvironment, env),
        stopReleasesOnExit: stopReleasesOnExit === true,
      });
    });

  program
    .command("launch")
    .description("Keep an agent running, and let its own releases take its place.")
    .addOption(need("--data-dir <directory>", "the agent's"))
    .addOption(logLevel())
    .argument("<args...>", "behind --: the agent's role and its options")
    .action((args: string[], options: CommonOptions) => commands.launch({ ...options, args }));

  program
    .command("identity")
    .description("Make a key pair and the fleet's certificate for it.")
    .addOption(need("--id <name>", "of the agent", parseName))
    .addOption(may("--region <name>", "the agent's region; none for a builder", parseName))
    .addOption(
      option("--role <role>", "what the agent is")
        .choices(["host", "region", "builder"])
        .makeOptionMandatory(),
    )
    .addOption(need("--membership-key <file>", "private key, PKCS#8 PEM"))
    .addOption(need("--out <file>", "what to write; must not exist"))
    .addOption(
      may("--days <number>", "until it expires", (text) => parseInteger(text, 1, 36_500)).default(
        365,
      ),
    )
    .action(({ membershipKey, region = "", ...same }: IdentityOptions, command: Command) => {
      if (same.role === "builder" && region !== "") command.error("A builder is of no region.");
      if (same.role !== "builder" && region === "") command.error("Say of which --region it is.");
      return commands.identity({ ...same, region, membershipKeyFile: membershipKey });
    });

  return program;
}

interface BuilderOptions extends Omit<CommonOptions, "identity"> {
  slots: number;
  identity?: string;
  joinTokenFile?: string;
  buildUser?: string;
  buildAsRoot?: true | undefined;
  buildCpuSeconds?: number;
  buildMemory?: number;
  buildFileBytes?: number;
  buildProcesses?: number;
}

interface TrustOptions {
  rootPublicKey: string[];
  membershipPublicKey?: string;
  goalPublicKey: string[];
}

interface SwarmCaps {
  maxUploadBytesPerSecond?: number;
  maxDownloadBytesPerSecond?: number;
}

type IdentityOptions = Omit<IdentityConfig, "membershipKeyFile" | "region"> & {
  region?: string;
  membershipKey: string;
};

interface RegionOptions extends SwarmCaps, TrustOptions {
  joinTokenFile?: string;
  nats: string[];
  natsCredentials?: string;
  mainBlobStore: string;
  blobStoreShared?: true | undefined;
  cells: string[];
  recheckSeconds: number;
}

interface HostOptions extends SwarmCaps, TrustOptions {
  joinTokenFile?: string;
  cell: string;
  neighbourCells: string[];
  label: Record<string, string>;
  env: Record<string, string>;
  storeMaxBytes: number;
  stopReleasesOnExit?: true | undefined;
  agentApplication?: string;
  launchToken?: string;
  launchedRelease?: string;
}

function option(flags: string, description: string): Option {
  const made = new Option(flags, description);
  return made.env(`SLIPWAY_${made.name().toUpperCase().replaceAll("-", "_")}`);
}

/** An option with a default. */
function may<T>(flags: string, description: string, parse: (text: string, before: T) => T): Option {
  return option(flags, description).argParser<T>((text, before) => {
    try {
      return parse(text, before);
    } catch (error) {
      if (error instanceof ConfigError) throw new InvalidArgumentError(`It ${error.message}.`);
      throw error;
    }
  });
}

/** An option that must be given. */
function need(
  flags: string,
  description: string,
  parse: (text: string) => unknown = parseText,
): Option {
  return may(flags, description, parse).makeOptionMandatory();
}

function rootPublicKey(): Option {
  const what = "SPKI PEM, with commas between: sign key sets, which say what other keys hold";
  return may("--root-public-key <files>", what, parseList).default([]);
}

function membershipPublicKey(): Option {
  const what = "SPKI PEM; with a root key, until there is a key set";
  return may("--membership-public-key <file>", what, parseText);
}

function goalPublicKey(what: string): Option {
  return may("--goal-public-key <files>", what, parseList).default([]);
}

/** Without a root key nobody else can say which keys to go by. */
function requireTrust(
  command: Command,
  options: TrustOptions,
  needed: readonly ("membershipPublicKey" | "goalPublicKey")[],
): void {
  if (options.rootPublicKey.length > 0) return;
  const missing = needed.find((name) => (options[name] ?? []).length === 0);
  if (missing === undefined) return;
  const flag = missing === "goalPublicKey" ? "--goal-public-key" : "--membership-public-key";
  command.error(`error: ${flag} is needed, or a --root-public-key`);
}

function joinTokenFile(): Option {
  const what = "a join token: lets the agent join the fleet while it has no identity";
  return may("--join-token-file <file>", what, parseText);
}

function coordinatorCa(): Option {
  const what = "authority of the coordinators' certificates (PEM): TLS; without: plain text";
  return may("--coordinator-ca <file>", what, parseText);
}

function coordinatorTokenFile(): Option {
  const what = "the token that calls are made with; read again when it changes";
  return may("--coordinator-token-file <file>", what, parseText);
}

function coordinatorCert(): Option {
  const what = "the agent's certificate (PEM), where coordinators ask for one";
  return may("--coordinator-cert <file>", what, parseText);
}

function coordinatorKey(): Option {
  return may("--coordinator-key <file>", "its private key (PEM)", parseText);
}

function regionNatsCredentials(): Option {
  const what = "of the region's NATS, from nats-config or nats-user";
  return may("--region-nats-credentials <file>", what, parseText);
}

function natsCa(): Option {
  const what = "PEM, of who signed NATS servers; TLS is not asked for unless given";
  return may("--nats-ca <file>", what, parseText);
}

function metricsListen(): Option {
  const what = "metrics and health over HTTP; a port alone is 127.0.0.1's";
  return may("--metrics-listen <host:port>", what, parseLocalAddress);
}

function logLevel(): Option {
  return may("--log-level <level>", "least severe to log", parseLogLevel).default("info");
}

function uploadCap(): Option {
  return may(
    "--max-upload-bytes-per-second <bytes>",
    "of artifacts; no limit unless given",
    parseRate,
  );
}

function downloadCap(): Option {
  return may(
    "--max-download-bytes-per-second <bytes>",
    "of artifacts; no limit unless given",
    parseRate,
  );
}

function parseCells(text: string): string[] {
  return parseList(text).map(parseName);
}

function parseCount(text: string): number {
  return parseInteger(text, 1, 2 ** 31 - 1);
}

function parseText(text: string): string {
  if (text === "") throw new ConfigError("must not be empty");
  return text;
}
