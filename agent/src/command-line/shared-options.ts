import type { Option } from "commander";
import { parseLocalAddress, parseLogLevel, parseRate } from "../config.js";
import type { CoordinatorFiles } from "../coordinator/channel.js";
import type { LogLevel } from "../log.js";
import type { Address } from "../swarm/index.js";
import { may, parseText } from "./option.js";

/** What several roles are told. */
export interface CommonOptions extends CoordinatorFiles {
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

export interface SwarmCaps {
  maxUploadBytesPerSecond?: number;
  maxDownloadBytesPerSecond?: number;
}

export const IDENTITY = "from the identity command, or made with --join-token-file";

export function joinTokenFile(): Option {
  const what = "a join token: lets the agent join the fleet while it has no identity";
  return may("--join-token-file <file>", what, parseText);
}

export function coordinatorCa(): Option {
  const what = "authority of the coordinators' certificates (PEM): TLS; without: plain text";
  return may("--coordinator-ca <file>", what, parseText);
}

export function coordinatorTokenFile(): Option {
  const what = "the token that calls are made with; read again when it changes";
  return may("--coordinator-token-file <file>", what, parseText);
}

export function coordinatorCert(): Option {
  const what = "the agent's certificate (PEM), where coordinators ask for one";
  return may("--coordinator-cert <file>", what, parseText);
}

export function coordinatorKey(): Option {
  return may("--coordinator-key <file>", "its private key (PEM)", parseText);
}

export function regionNatsCredentials(): Option {
  const what = "of the region's NATS, from nats-config or nats-user";
  return may("--region-nats-credentials <file>", what, parseText);
}

export function natsCa(): Option {
  const what = "PEM, of who signed NATS servers; TLS is not asked for unless given";
  return may("--nats-ca <file>", what, parseText);
}

export function metricsListen(): Option {
  const what = "metrics and health over HTTP; a port alone is 127.0.0.1's";
  return may("--metrics-listen <host:port>", what, parseLocalAddress);
}

export function logLevel(): Option {
  return may("--log-level <level>", "least severe to log", parseLogLevel).default("info");
}

export function uploadCap(): Option {
  return may(
    "--max-upload-bytes-per-second <bytes>",
    "of artifacts; no limit unless given",
    parseRate,
  );
}

export function downloadCap(): Option {
  return may(
    "--max-download-bytes-per-second <bytes>",
    "of artifacts; no limit unless given",
    parseRate,
  );
}
