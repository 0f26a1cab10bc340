import type { TlsFiles } from "./auth/server-certificates.js";
import { isSameDatabase } from "./db/same-database.js";
import { type ConnectionLimits, connectionLimits } from "./connection-limits.js";

/** Everything a coordinator can be told. Times are in milliseconds. */
export interface CoordinatorConfig {
  /** Where gRPC listens. Port 0 takes a free one. */
  listen: { host: string; port: number };
  /**
   * "tokens": every call needs a bearer token, and beyond loopback TLS. "none": neither is needed,
   * wherever it listens. Default "tokens".
   */
  authentication: "tokens" | "none";
  /** PEM files to serve TLS with; read again when they change. Without: plain text. */
  tls?: TlsFiles | undefined;
  /** What callers may cost. Default: of 10,000 connections, 5,000 of one address. */
  connections: ConnectionLimits;
  /** Postgres: applications, builds, deployments. */
  databaseUrl: string;
  /** Postgres: replication status; another database, may be on another server. */
  replicationDatabaseUrl: string;
  /** Servers of the global NATS. */
  natsUrls: readonly string[];
  /** The coordinators' credentials there, from nats-config. Without any, none are shown. */
  natsCredentialsFile?: string | undefined;
  /** PEM certificates of who signed the NATS servers'. Without any, TLS is not asked for. */
  natsCaFile?: string | undefined;
  /** The keys, from nats-config, that make NATS users of members. Without them members get none. */
  natsIssuerFile?: string | undefined;
  /** How revoked members are shut out from NATS at once, not when their JWT expires. */
  natsRevocation?: NatsRevocationConfig | undefined;
  /** Ed25519 private key (PKCS#8 PEM) that signs goals. This or goalSigner. */
  goalKeyFile?: string | undefined;
  /** A command that signs goals instead. */
  goalSigner?: SignerCommand | undefined;
  /** Ed25519 private key (PKCS#8 PEM) that signs memberships. Without one nobody joins or renews. */
  membershipKeyFile?: string | undefined;
  /** A command that signs memberships instead. */
  membershipSigner?: SignerCommand | undefined;
  /** A SignedKeySet to publish; read again when it changes. Without one hosts know keys by themselves. */
  keySetFile?: string | undefined;
  /** Ed25519 public keys (SPKI PEM), one of which must have signed it. Without any it is believed. */
  rootPublicKeyFiles?: readonly string[] | undefined;
  /** How long a membership holds; agents renew it after two thirds. Default 7 days. */
  membershipValidForMs: number;
  /**
   * Only builds that their builder has signed succeed, and only builders that sign are let in. Needs a
   * membership key. Default false.
   */
  requireProvenance: boolean;
  /** Secret that signs notifications. Without one there are no notification hooks. */
  hookSecretFile?: string | undefined;
  /**
   * Connections, at most, to each database, and as many again for the build queue, beside the one
   * that listens. Default 10.
   */
  databasePoolSize: number;
  /** One SQL statement's time on the server. Default 15 s. */
  statementTimeoutMs: number;
  /** How long to try for Postgres and NATS at start. Default 60 s. */
  startTimeoutMs: number;
  /** How long calls may finish at stop. Default 5 s. */
  stopTimeoutMs: number;
  /** A build not heard of for this long is taken from its builder. Default 15 s. */
  leaseDurationMs: number;
  /** How often waiting work is looked for if no signal came. Default 1 s. */
  pollIntervalMs: number;
  /** How often a watcher reads again if no signal came. Default 5 s. */
  watchIntervalMs: number;
  /** What is kept of build logs in all. Default 1 GiB. */
  logMaxBytes: number;
  /** How long build logs are kept. Default 14 days. */
  logMaxAgeMs: number;
  /** How long audit entries are kept. Default 2 years. */
  auditMaxAgeMs: number;
  /** How often what is too old is deleted. Default 10 min. */
  sweepIntervalMs: number;
  /** How long a deployment may take until its first host switches. Default 6 h. */
  replicationDeadlineMs: number;
  /** How often deployments are looked at if no signal came. Default 5 s. */
  reconcileIntervalMs: number;
  /** How often the goal bucket is compared with the database. Default 60 s. */
  projectionIntervalMs: number;
  /** How often the key set's file is read again. Default 10 s. */
  keySetIntervalMs: number;
}

/** A command that signs: see README.md. */
export interface SignerCommand {
  /** The command and its arguments. */
  argv: readonly string[];
  /** Ed25519 public key (SPKI PEM) that its signatures must fit. */
  publicKeyFile: string;
}

/** What it takes to revoke NATS users; natsIssuerFile as well. */
export interface NatsRevocationConfig {
  /** Of the servers' system account, from nats-config. */
  systemCredentialsFile: string;
  /** Seed of the operator's key that signs accounts, from nats-config. */
  operatorKeyFile: string;
  /** Servers of regions that do not share the global ones. */
  regionUrls: Readonly<Record<string, readonly string[]>>;
}

/** What has no default. */
type RequiredConfig = Pick<
  CoordinatorConfig,
  "listen" | "databaseUrl" | "replicationDatabaseUrl" | "natsUrls"
>;

export type CoordinatorOptions = RequiredConfig & Partial<CoordinatorConfig>;

/** Fills in the defaults. @throws Error with a one-line reason for what can't be. */
export function resolveConfig(options: CoordinatorOptions): CoordinatorConfig {
  const config: CoordinatorConfig = {
    membershipValidForMs: 7 * 24 * 3_600_000,
    authentication: "tokens",
    connections: connectionLimits({ all: 10_000, each: 5_000 }),
    requireProvenance: false,
    databasePoolSize: 10,
    statementTimeoutMs: 15_000,
    startTimeoutMs: 60_000,
    stopTimeoutMs: 5_000,
    leaseDurationMs: 15_000,
    pollIntervalMs: 1_000,
    watchIntervalMs: 5_000,
    logMaxBytes: 1024 ** 3,
    logMaxAgeMs: 14 * 24 * 3_600_000,
    auditMaxAgeMs: 2 * 365 * 24 * 3_600_000,
    sweepIntervalMs: 10 * 60_000,
    replicationDeadlineMs: 6 * 3_600_000,
    reconcileIntervalMs: 5_000,
    projectionIntervalMs: 60_000,
    keySetIntervalMs: 10_000,
    ...options,
  };
  checkKeys(config);
  checkDatabaseUrl("--database-url", config.databaseUrl);
  checkDatabaseUrl("--replication-database-url", config.replicationDatabaseUrl);
  if (isSameDatabase(config.databaseUrl, config.replicationDatabaseUrl)) {
    throw new Error(
      "--replication-database-url names the same database as --database-url (host, port and name): " +
        "each has tables of its own, so make another database for replication",
    );
  }
  const needsTls = config.authentication === "tokens" && !isLoopback(config.listen.host);
  if (needsTls && config.tls === undefined) {
    throw new Error(
      `refusing to listen on ${config.listen.host}: tokens would cross the network in plain text; ` +
        "give --tls-cert and --tls-key, listen on loopback, or allow everybody everything with --insecure",
    );
  }
  return config;
}

/**
 * Refuses what no Postgres is at, before it is tried for long as a host that is not found.
 * @throws Error with a one-line reason, without the URL: there may be a password in it.
 */
export function checkDatabaseUrl(option: string, url: string): void {
  const form = "postgres://USER:PASSWORD@HOST:PORT/DATABASE";
  const [, scheme] = /^([a-z][a-z0-9+.-]*):/i.exec(url) ?? [];
  if (scheme === undefined) throw new Error(`${option} must be ${form}: it has no scheme`);
  if (!["postgres", "postgresql", "socket"].includes(scheme.toLowerCase())) {
    throw new Error(`${option} must be ${form}, and not ${scheme}: …`);
  }
  if (scheme !== "socket" && !URL.canParse(url)) throw new Error(`${option} must be ${form}`);
}

function checkKeys(config: CoordinatorConfig): void {
  const { goalKeyFile, goalSigner, membershipKeyFile, membershipSigner } = config;
  if ((goalKeyFile === undefined) === (goalSigner === undefined)) {
    throw new Error("goals need one key: give --goal-key, or --goal-signer-command, and not both");
  }
  if (membershipKeyFile !== undefined && membershipSigner !== undefined) {
    throw new Error(
      "memberships have one key: give --membership-key or --membership-signer-command, not both",
    );
  }
  if ((config.rootPublicKeyFiles ?? []).length > 0 && config.keySetFile === undefined) {
    throw new Error("--root-public-key is to check a key set: give --key-set as well");
  }
}

/** Parses HOST:PORT, with brackets around an IPv6 host. @throws Error with a one-line reason. */
export function parseListenAddress(text: string): { host: string; port: number } {
  const match = /^(?:\[([0-9a-fA-F:.]+)\]|([^:[\]\s]+)):(\d{1,5})$/.exec(text);
  const host = match?.[1] ?? match?.[2];
  const port = Number(match?.[3]);
  if (host === undefined || !(port <= 65_535)) {
    throw new Error(`not an address of the form HOST:PORT: ${JSON.stringify(text)}`);
  }
  return { host, port };
}

/** The same; a port alone is one of 127.0.0.1. @throws Error with a one-line reason. */
export function parseLocalAddress(text: string): { host: string; port: number } {
  return parseListenAddress(/^\d+$/.test(text) ? `127.0.0.1:${text}` : text);
}

function isLoopback(host: string): boolean {
  return host === "localhost" || host === "::1" || /^127(\.\d{1,3}){3}$/.test(host);
}
