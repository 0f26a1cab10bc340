import { HOST_MAX_LABELS, NAME_PATTERN } from "@slipway/proto";
import type { CoordinatorFiles } from "./coordinator/channel.js";
import type { ConfinementOptions } from "./builder/index.js";
import { LOG_LEVELS, type LogLevel } from "./log.js";
import type { Address, MemberRole } from "./swarm/index.js";

/** What every role has. */
interface CommonConfig extends CoordinatorFiles {
  id: string;
  /** What the agent owns; one agent at a time. */
  dataDir: string;
  logLevel: LogLevel;
  /** Where Prometheus finds /metrics, and others /healthz. Undefined: nowhere. */
  metricsListen?: Address | undefined;
}

/** `slipway-agent builder`. */
export interface BuilderCommandConfig extends CommonConfig {
  /** HOST:PORT of a coordinator, or of several with commas between. */
  coordinator: string;
  /** Directory of the main blob store. */
  blobStore: string;
  slots: number;
  /** How build commands are kept in bounds. */
  confinement: ConfinementOptions;
  /** Of a builder that is a member of the fleet. */
  identityFile?: string | undefined;
  joinTokenFile?: string | undefined;
}

/** How much of the network the swarm may take; no limit unless given. */
interface SwarmCaps {
  maxUploadBytesPerSecond?: number | undefined;
  maxDownloadBytesPerSecond?: number | undefined;
}

/** `slipway-agent host`. */
export interface HostConfig extends CommonConfig, SwarmCaps {
  region: string;
  /** Home cell. */
  cell: string;
  /** Cells into which the host keeps a few links. */
  neighbourCells: string[];
  labels: Record<string, string>;
  regionNats: string[];
  /** Where the host joins the fleet and renews its certificate; none: its identity is as it is. */
  coordinator?: string | undefined;
  /** The user to be there, from nats-user. Undefined: none is shown. */
  regionNatsCredentialsFile?: string | undefined;
  /** PEM certificates of who signed the NATS servers'. Undefined: TLS is not asked for. */
  natsCaFile?: string | undefined;
  identityFile: string;
  /** Holds a join token, for the first start. */
  joinTokenFile?: string | undefined;
  /** Sign key sets; none: there are no key sets, and the other keys hold for good. */
  rootPublicKeyFiles?: string[] | undefined;
  /** These two hold until there is a key set, and may be left out if there is to be one. */
  membershipPublicKeyFile?: string | undefined;
  goalPublicKeyFiles: string[];
  /** Of the swarm: DHT on UDP and chunks on TCP. */
  listen: Address;
  bootstrap: Address[];
  /** Base environment of releases: PATH, HOME, LANG and what the command line adds. */
  environment: Record<string, string>;
  /** What the artifact store may take on disk, in bytes, before old artifacts go. */
  storeMaxBytes: number;
  /** Stop releases with the agent; otherwise they run on and its next start takes them over. */
  stopReleasesOnExit: boolean;
  /** The application whose releases are this agent; needs a launcher. */
  agentApplication?: string | undefined;
  /** What the launcher says of this start. */
  launchToken?: string | undefined;
  launchedRelease?: string | undefined;
}

/** `slipway-agent launch`. */
export interface LaunchConfig {
  dataDir: string;
  logLevel: LogLevel;
  /** The agent's command line. */
  args: string[];
}

/** `slipway-agent region`. */
export interface RegionConfig extends CommonConfig, SwarmCaps {
  region: string;
  /** HOST:PORT of a coordinator, or of several with commas between. */
  coordinator: string;
  /** The global NATS. */
  nats: string[];
  regionNats: string[];
  /** The user to be on the global NATS, from nats-config. Undefined: none is shown. */
  natsCredentialsFile?: string | undefined;
  /** The same on the region's. */
  regionNatsCredentialsFile?: string | undefined;
  /** PEM certificates of who signed the servers'. Undefined: TLS is not asked for. */
  natsCaFile?: string | undefined;
  mainBlobStore: string;
  blobStore: string;
  identityFile: string;
  /** Holds a join token, for the first start. */
  joinTokenFile?: string | undefined;
  /** As of a host. */
  rootPublicKeyFiles?: string[] | undefined;
  membershipPublicKeyFile?: string | undefined;
  /**
   * Goals that none of these keys signed are not copied. None, and no root key: that is left to the
   * hosts.
   */
  goalPublicKeyFiles: string[];
  /** Other agents of the region use the same blob store: the one that leads copies into it. */
  blobStoreShared: boolean;
  listen: Address;
  bootstrap: Address[];
  /** Cells that it seeds from the start, besides the default one; others once it hears of them. */
  cells: string[];
  /** Between two checks that the regional blob store still holds what it should, in ms. */
  recheckMs: number;
}

/** `slipway-agent identity`. */
export interface IdentityConfig {
  id: string;
  /** Empty for a builder. */
  region: string;
  role: MemberRole;
  membershipKeyFile: string;
  out: string;
  days: number;
}

/** An option has a value that cannot be used. */
export class ConfigError extends Error {
  override readonly name = "ConfigError";
}

/** The cell of hosts that name none. */
export const DEFAULT_CELL = "default";

/** @throws ConfigError unless it is lower-case letters, digits and inner hyphens, 1 to 63. */
export function parseName(text: string): string {
  if (!NAME_PATTERN.test(text)) {
    throw new ConfigError("must be 1 to 63 lower-case letters, digits and inner hyphens");
  }
  return text;
}

/** "127.0.0.1:7700", "node.example:7700" or "[::1]:7700". @throws ConfigError */
export function parseAddress(text: string): Address {
  const match = /^(?:\[([0-9a-fA-F:.]+)\]|([^\s:[\]/]+)):(\d{1,5})$/.exec(text.trim());
  const host = match?.[1] ?? match?.[2];
  const port = Number(match?.[3]);
  if (host === undefined || port < 1 || port > 65_535) {
    throw new ConfigError("must be HOST:PORT with a port from 1 to 65535");
  }
  return { host, port };
}

/** An address, or a port of 127.0.0.1. @throws ConfigError */
export function parseLocalAddress(text: string): Address {
  return parseAddress(/^\d+$/.test(text.trim()) ? `127.0.0.1:${text.trim()}` : text);
}

/** An address, as it is. @throws ConfigError */
function parseHostPort(text: string): string {
  parseAddress(text);
  return text.trim();
}

/** One address, or several with commas between, as they are. @throws ConfigError */
export function parseHostPorts(text: string): string {
  return parseList(text).map(parseHostPort).join(",");
}

/** Addresses with commas between them; at least one. @throws ConfigError */
export function parseAddresses(text: string): Address[] {
  return parseList(text).map(parseAddress);
}

/** Values with commas between them; at least one, none empty. @throws ConfigError */
export function parseList(text: string): string[] {
  const values = text.split(",").map((value) => value.trim());
  if (values.includes("")) throw new ConfigError("must be one or more values with commas between");
  return values;
}

/** "name=value", or several with commas between, onto what came before. @throws ConfigError */
export function parseLabels(text: string, before: Record<string, string>): Record<string, string> {
  const labels = { ...before };
  for (const pair of parseList(text)) {
    const [name, value] = splitPair(pair);
    if (!/^[a-z0-9]([a-z0-9._/-]{0,61}[a-z0-9])?$/.test(name)) {
      throw new ConfigError("must have a name of 1 to 63 of a-z, 0-9, and . _ / - inside");
    }
    if (value.length > 255 || /\p{Cc}/u.test(value)) {
      throw new ConfigError("must have a value of at most 255 printable characters");
    }
    labels[name] = value;
  }
  if (Object.keys(labels).length > HOST_MAX_LABELS) {
    throw new ConfigError(`must be at most ${HOST_MAX_LABELS} labels`);
  }
  return labels;
}

/** "NAME=VALUE", or several on lines of their own, onto what came before. @throws ConfigError */
export function parseVariables(
  text: string,
  before: Record<string, string>,
): Record<string, string> {
  const variables = { ...before };
  for (const pair of text.split("\n")) {
    const [name, value] = splitPair(pair);
    if (!/^[A-Za-z_][A-Za-z0-9_]*$/.test(name)) {
      throw new ConfigError("must be NAME=VALUE, NAME being letters, digits and underscores");
    }
    if (value.includes("\0")) throw new ConfigError("must not hold a zero byte");
    variables[name] = value;
  }
  return variables;
}

/** A whole number within bounds. @throws ConfigError */
export function parseInteger(text: string, min: number, max: number): number {
  const value = Number(text);
  if (!/^\d+$/.test(text) || value < min || value > max) {
    throw new ConfigError(`must be a whole number from ${min} to ${max}`);
  }
  return value;
}

/** "500", "64KiB", "20GiB". @throws ConfigError */
export function parseBytes(text: string): number {
  const match = /^(\d{1,15})(?:([KMGT])iB)?$/.exec(text);
  if (match === null) throw new ConfigError('must be bytes, such as "1048576" or "20GiB"');
  const power = match[2] === undefined ? 0 : "KMGT".indexOf(match[2]) + 1;
  const bytes = Number(match[1]) * 1024 ** power;
  if (!Number.isSafeInteger(bytes)) throw new ConfigError("is too large");
  return bytes;
}

/** Bytes a second, as parseBytes reads them; at least 1 KiB. @throws ConfigError */
export function parseRate(text: string): number {
  const bytes = parseBytes(text);
  if (bytes < 1_024) throw new ConfigError("must be at least 1KiB");
  return bytes;
}

/** @throws ConfigError */
export function parseLogLevel(text: string): LogLevel {
  const level = LOG_LEVELS.find((known) => known === text);
  if (level === undefined) throw new ConfigError(`must be one of ${LOG_LEVELS.join(", ")}`);
  return level;
}

/** The part of the agent's own environment that releases get. */
export function baseEnvironment(
  own: Readonly<Record<string, string | undefined>>,
  added: Readonly<Record<string, string>>,
): Record<string, string> {
  return {
    PATH: own["PATH"] ?? "/usr/local/bin:/usr/bin:/bin",
    HOME: own["HOME"] ?? "/",
    LANG: own["LANG"] ?? "C.UTF-8",
    ...added,
  };
}

function splitPair(text: string): [string, string] {
  const at = text.indexOf("=");
  if (at < 1) throw new ConfigError("must be NAME=VALUE");
  return [text.slice(0, at), text.slice(at + 1)];
}
