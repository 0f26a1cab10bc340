import type { Command } from "commander";
import {
  DEFAULT_CELL,
  baseEnvironment,
  parseAddress,
  parseAddresses,
  parseBytes,
  parseHostPorts,
  parseLabels,
  parseList,
  parseName,
  parseVariables,
} from "../config.js";
import { may, need, option, parseCells } from "./option.js";
import {
  type CommonOptions,
  type SwarmCaps,
  IDENTITY,
  coordinatorCa,
  coordinatorCert,
  coordinatorKey,
  coordinatorTokenFile,
  downloadCap,
  joinTokenFile,
  logLevel,
  metricsListen,
  natsCa,
  regionNatsCredentials,
  uploadCap,
} from "./shared-options.js";
import {
  type TrustOptions,
  goalPublicKey,
  membershipPublicKey,
  requireTrust,
  rootPublicKey,
} from "./trust-options.js";
import type { Commands } from "./commands.js";

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

export function addHostCommand(
  program: Command,
  commands: Pick<Commands, "host">,
  ownEnvironment: Readonly<Record<string, string | undefined>>,
): void {
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
      may(
        "--coordinator <addresses>",
        "where it joins and renews: HOST:PORT, with commas between",
        parseHostPorts,
      ),
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
}
