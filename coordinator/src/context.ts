import type { Replication } from "@slipway/proto";
import type { Knex } from "knex";
import type { NatsConnection } from "nats";
import type { Logger } from "pino";
import type { CoordinatorConfig } from "./config.js";
import type { EventBus } from "./events.js";

/** What every RPC and every loop gets. Built in index.ts; tests build their own. */
export interface Context {
  config: CoordinatorConfig;
  log: Logger;
  clock: Clock;
  /** Applications, builds, deployments. */
  db: Knex;
  replicationDb: Knex;
  /** The global NATS. */
  nats: NatsConnection;
  events: EventBus;
  replicationStatus: ReplicationStatusReader;
}

export interface Clock {
  /** Milliseconds since 1970. */
  now(): number;
}

export const systemClock: Clock = { now: () => Date.now() };

/** Which regions hold which artifacts. */
export interface ReplicationStatusReader {
  /** By digest; an artifact that is not known has no entry. One row a region that should hold it. */
  get(digests: readonly string[]): Promise<ReadonlyMap<string, readonly Replication[]>>;
}

/** Something that runs beside the calls. May be stopped twice, and before it was started. */
export interface Service {
  start(): Promise<void> | void;
  stop(): Promise<void>;
}
