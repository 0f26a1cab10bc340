import type { Replication } from "@slipway/proto";
import type { Knex } from "knex";
import type { NatsConnection } from "nats";
import type { Logger } from "pino";
import type { Authenticator } from "./auth/admission.js";
import type { CoordinatorConfig } from "./config.js";
import type { EventBus } from "./events.js";
import type { GoalPublisher } from "./goal/goal-publisher.js";
import type { RevocationPublisher } from "./goal/revocation-publisher.js";
import type { FleetKeys } from "./keys/fleet-keys.js";
import type { MemberIssuer } from "./membership/issuer.js";
import type { BuildLogs } from "./logs/build-logs.js";
import type { LateLines } from "./logs/late-lines.js";
import type { RevokedUsers } from "./nats-access/revoked-users.js";
import type { ProvenanceJudge } from "./provenance/judge.js";
import type { ConnectedBuilders } from "./queue/connected-builders.js";
import type { Dispatcher } from "./queue/dispatcher.js";
import type { BuildQueue } from "./queue/queue.js";
import type { BuilderSessions } from "./rpc/builder/sessions.js";
import type { DeploymentFeeds } from "./rollout/deployment-feeds.js";
import type { Stats } from "./stats.js";
import type { StatusTable } from "./status/status-table.js";

/** What every RPC and every loop gets. Built in index.ts; tests build their own. */
export interface Context {
  config: CoordinatorConfig;
  log: Logger;
  /** What the time is. */
  clock: Clock;
  /** How long something takes: nobody sets it. */
  steady: Clock;
  /** Applications, builds, deployments. */
  db: Knex;
  replicationDb: Knex;
  /** The global NATS. */
  nats: NatsConnection;
  events: EventBus;
  /** What is counted for the metrics. */
  stats: Stats;
  queue: BuildQueue;
  /** Leases builds for the builders that are connected here. */
  dispatcher: Dispatcher;
  builderSessions: BuilderSessions;
  /** Which builders are connected to any coordinator. */
  connectedBuilders: ConnectedBuilders;
  buildLogs: BuildLogs;
  lateLines: LateLines;
  replicationStatus: ReplicationStatusReader;
  /** Goals in the global bucket. */
  goals: GoalPublisher;
  /** What region agents say. */
  status: StatusTable;
  /** Whose certificates hold no more, in the global bucket. */
  revocations: RevocationPublisher;
  /** Shuts the same out from NATS; undefined if this coordinator cannot. */
  revokedUsers: RevokedUsers | undefined;
  /** Makes agents members; undefined if this coordinator has no membership key. */
  memberIssuer: MemberIssuer | undefined;
  /** Which keys the fleet goes by; undefined without a key set. */
  fleetKeys: FleetKeys | undefined;
  /** Decides whether what builders sign fits. */
  provenance: ProvenanceJudge;
  /** Finds out who calls; undefined if everybody may do everything. */
  authenticator: Authenticator | undefined;
  /** Signs notifications; undefined if this coordinator sends none. */
  hookSecret: string | undefined;
  /** Deployments, fanned out to those who watch them. */
  deploymentFeeds: DeploymentFeeds;
}

export interface Clock {
  /** Milliseconds since 1970. */
  now(): number;
}

export const systemClock: Clock = { now: () => Date.now() };

/**
 * The system's clock as it was when the process began, which then goes on evenly while somebody sets
 * that one. For what lasts, and for nothing that is compared with times from elsewhere.
 */
export const steadyClock: Clock = { now: () => performance.timeOrigin + performance.now() };

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
