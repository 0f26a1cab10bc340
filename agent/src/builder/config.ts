import process from "node:process";
import { NAME_PATTERN } from "@slipway/proto";
import type { CoordinatorChannel } from "../coordinator/channel.js";
import type { BlobStore } from "../blob/index.js";
import type { Logger } from "../log.js";
import type { Identity } from "../swarm/identity.js";
import type { ConfinementOptions } from "./process/confinement.js";

/** What a builder needs, and may be told. */
export interface BuilderConfig {
  /** Unique among builders, the same across restarts; looks like NAME_PATTERN. */
  id: string;
  /** A coordinator's HOST:PORT, or those of several with commas between. */
  coordinator: string;
  /** Default: no TLS, and no token. */
  channel?: CoordinatorChannel | undefined;
  /** The main blob store, or the directory of one. */
  blobStore: BlobStore | string;
  /** For checkouts and the histories of trunks. One builder at a time may use it. Made if missing. */
  dataDir: string;
  log: Logger;
  /** How many builds run at once. Default 1. */
  slots?: number;
  /** How long `stop` lets running builds go on before it ends them, in ms. Default 0. */
  drainTimeoutMs?: number;
  /** How long `stop` waits for the coordinator to hear of them, in ms. Default 5 s. */
  reportTimeoutMs?: number;
  /** Of one git command, in ms. Default 5 min. */
  gitTimeoutMs?: number;
  /** Before the first retry of a git fetch, in ms; doubles, with jitter. Default 1 s. */
  gitRetryDelayMs?: number;
  /** Between SIGTERM and SIGKILL to a build command, in ms. Default 5 s. */
  killGraceMs?: number;
  /** A build's output is passed on up to so many bytes. Default 16 MiB. */
  logHeadBytes?: number;
  /** And its last bytes, at its end. Default 256 KiB. */
  logTailBytes?: number;
  /** How long a finished build waits for its log to be acknowledged, in ms. Default 2 s. */
  logGraceMs?: number;
  /** What a build's log may take on disk until it is acknowledged. Default 64 MiB. */
  logSpoolBytes?: number;
  /** How long a log is kept after its build's end until it is acknowledged, in ms. Default 6 h. */
  logLateMs?: number;
  /** Before the first try to connect again, in ms; doubles up to 5 s, with jitter. Default 200. */
  reconnectDelayMs?: number;
  /** What git and, of it, only PATH and LANG, build commands inherit. Default: the process's. */
  environment?: Readonly<Record<string, string | undefined>>;
  /** How build commands are kept in bounds. Default: as the builder's user, without limits. */
  confinement?: ConfinementOptions | undefined;
  /** Of the builder as a member of the fleet, as it is now: signs what it builds. Default: unsigned. */
  identity?: (() => Identity<"builder">) | undefined;
}

export type ResolvedConfig = Required<Omit<BuilderConfig, "channel" | "confinement" | "identity">> &
  Pick<BuilderConfig, "channel" | "confinement" | "identity">;

/** Fills the defaults. Throws RangeError with what is wrong. */
export function resolveConfig(config: BuilderConfig): ResolvedConfig {
  const resolved: ResolvedConfig = {
    slots: 1,
    drainTimeoutMs: 0,
    reportTimeoutMs: 5000,
    gitTimeoutMs: 5 * 60_000,
    gitRetryDelayMs: 1000,
    killGraceMs: 5000,
    logHeadBytes: 16 * 1024 * 1024,
    logTailBytes: 256 * 1024,
    logGraceMs: 2_000,
    logSpoolBytes: 64 * 1024 * 1024,
    logLateMs: 6 * 3_600_000,
    reconnectDelayMs: 200,
    environment: process.env,
    ...config,
  };
  if (!NAME_PATTERN.test(resolved.id)) {
    throw new RangeError(`bad builder id ${JSON.stringify(resolved.id)}`);
  }
  if (!Number.isInteger(resolved.slots) || resolved.slots < 1 || resolved.slots > 1000) {
    throw new RangeError(`slots must be 1 to 1000, not ${resolved.slots}`);
  }
  return resolved;
}
