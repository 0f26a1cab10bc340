import { connect, DebugEvents, type NatsConnection } from "nats";
import type { Logger } from "pino";
import { buildServices, createBuildParts } from "./build/parts.js";
import { resolveConfig, type CoordinatorConfig, type CoordinatorOptions } from "./config.js";
import { systemClock, type Context } from "./context.js";
import { openDatabase } from "./db/connection.js";
import { migrate } from "./db/migrate.js";
import { migrations } from "./db/migrations/index.js";
import { Notifications } from "./db/notifications.js";
import { replicationMigrations } from "./db/replication-migrations/index.js";
import { EventBus } from "./events.js";
import { GoalBucket } from "./goal/goal-bucket.js";
import { RevocationPublisher } from "./goal/revocation-publisher.js";
import { createRevocationSigner } from "./goal/revocation-signer.js";
import { createGoalSigner } from "./goal/signing.js";
import { Lifetimes } from "./lifetimes.js";
import { readHookSecret } from "./notification/hook-secret.js";
import { operationServices } from "./operations.js";
import { retryUntil } from "./retry.js";
import { createDeploymentParts, deploymentServices, readGoalKey } from "./rollout/parts.js";
import { startServer } from "./server.js";

export type { CoordinatorConfig, CoordinatorOptions } from "./config.js";

/** A running coordinator. */
export interface Coordinator {
  /** HOST:PORT of its gRPC server. */
  address: string;
  /** Ends streams, lets calls finish, closes everything. May be called twice. */
  stop(): Promise<void>;
}

/**
 * Connects, migrates both databases, and serves. Any number may run on the same databases.
 * @param signal gives up starting; use stop() once it has started.
 * @throws Error with a one-line reason if something can't be reached within startTimeoutMs.
 */
export async function startCoordinator(
  options: CoordinatorOptions,
  { log, signal = new AbortController().signal }: { log: Logger; signal?: AbortSignal },
): Promise<Coordinator> {
  const config = resolveConfig(options);
  const lifetimes = new Lifetimes(log);
  try {
    const context = await createContext(config, lifetimes, log, signal);
    const server = await startServer(context);
    lifetimes.add("the gRPC server", () => server.stop());
    return { address: server.address, stop: () => lifetimes.end() };
  } catch (error) {
    await lifetimes.end();
    throw error;
  }
}

async function createContext(
  config: CoordinatorConfig,
  lifetimes: Lifetimes,
  log: Logger,
  signal: AbortSignal,
): Promise<Context> {
  const goalKey = await readGoalKey(config.goalKeyFile);
  const signer = createGoalSigner(goalKey);
  const hookSecret = await readHookSecret(config.hookSecretFile);
  const until = { deadline: Date.now() + config.startTimeoutMs, signal, log };
  const pool = {
    poolSize: config.databasePoolSize,
    statementTimeoutMs: config.statementTimeoutMs,
    log,
  };
  const db = openDatabase({ ...pool, url: config.databaseUrl, applicationName: "slipway" });
  lifetimes.add("the database", () => db.destroy());
  const queueDb = openDatabase({
    ...pool,
    url: config.databaseUrl,
    applicationName: "slipway queue",
    byIndex: true,
  });
  lifetimes.add("the queue's database", () => queueDb.destroy());
  const replicationDb = openDatabase({
    ...pool,
    url: config.replicationDatabaseUrl,
    applicationName: "slipway replication",
  });
  lifetimes.add("the replication database", () => replicationDb.destroy());
  await retryUntil("migrating the database", until, () =>
    migrate(config.databaseUrl, migrations, { timeoutMs: config.startTimeoutMs, log }),
  );
  await retryUntil("migrating the replication database", until, () =>
    migrate(config.replicationDatabaseUrl, replicationMigrations, {
      timeoutMs: config.startTimeoutMs,
      log,
    }),
  );
  const nats = await retryUntil("connecting to NATS", until, () => connectNats(config, log));
  lifetimes.add("NATS", () => nats.close());

  const events = new EventBus(log);
  const notifications = new Notifications({ url: config.databaseUrl, db, events, log });
  notifications.start();
  lifetimes.add("notifications", () => notifications.stop());

  const connected = { config, log, clock: systemClock, db, replicationDb, nats, events };
  const base = { ...connected, ...createBuildParts({ ...connected, queueDb }) };
  const revocations = new RevocationPublisher({
    db,
    bucket: new GoalBucket(nats, log),
    signer: createRevocationSigner(goalKey),
    clock: systemClock,
    log,
  });
  const context: Context = {
    ...base,
    ...createDeploymentParts(base, signer),
    hookSecret,
    revocations,
  };
  const services = [
    ...buildServices(context),
    ...deploymentServices(context),
    ...operationServices(context),
  ];
  for (const [what, service] of services) {
    await service.start();
    lifetimes.add(what, () => service.stop());
  }
  return context;
}

/** Once connected it reconnects for ever; calls meanwhile fail soon instead of waiting. */
async function connectNats(config: CoordinatorConfig, log: Logger): Promise<NatsConnection> {
  const nats = await connect({
    servers: [...config.natsUrls],
    name: "slipway-coordinator",
    maxReconnectAttempts: -1,
    reconnectTimeWait: 250,
    reconnectJitter: 250,
    timeout: 5_000,
    pingInterval: 5_000,
    maxPingOut: 2,
  });
  void (async () => {
    for await (const { type, data } of nats.status()) {
      if (type === DebugEvents.PingTimer) continue;
      log.info({ status: type, server: data }, "nats connection");
    }
  })();
  return nats;
}
