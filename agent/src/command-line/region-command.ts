import type { Command } from "commander";
import {
  parseAddress,
  parseAddresses,
  parseHostPorts,
  parseInteger,
  parseList,
  parseName,
} from "../config.js";
import { may, need, option, parseCells, parseText } from "./option.js";
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

interface RegionOptions extends SwarmCaps, TrustOptions {
  joinTokenFile?: string;
  nats: string[];
  natsCredentials?: string;
  mainBlobStore: string;
  blobStoreShared?: true | undefined;
  cells: string[];
  recheckSeconds: number;
}

const DAY_SECONDS = 86_400;

export function addRegionCommand(program: Command, commands: Pick<Commands, "region">): void {
  program
    .command("region")
    .description("Copy goals and artifacts into a region, seed its swarm, count its hosts.")
    .addOption(need("--id <name>", "unique among the region's agents", parseName))
    .addOption(need("--region <name>", "the region", parseName))
    .addOption(
      need(
        "--coordinator <addresses>",
        "coordinators' HOST:PORT, with commas between",
        parseHostPorts,
      ),
    )
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
}
