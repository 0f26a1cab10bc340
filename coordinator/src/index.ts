import type { Logger } from "pino";
import type { Registry } from "prom-client";
import { Endings } from "@slipway/proto/files";
import { ServerCertificates } from "./auth/server-certificates.js";
import { TokenAuthenticator } from "./auth/token-authenticator.js";
import { buildServices, createBuildParts } from "./build/parts.js";
import { resolveConfig, type CoordinatorConfig, type CoordinatorOptions } from "./config.js";
import { steadyClock, systemClock, type Context } from "./context.js";
import { openDatabase } from "./db/connection.js";
import { migrateBoth } from "./db/migrate-both.js";
import { Notifications } from "./db/notifications.js";
import { EventBus } from "./events.js";
import { GoalBucket } from "./goal/goal-bucket.js";
import { RevocationPublisher } from "./goal/revocation-publisher.js";
import { createRevocationSigner } from "./goal/revocation-signer.js";
import { createGoalSigner } from "./goal/signing.js";
import { KeySetPublisher } from "./keys/key-set-publisher.js";
import { keySetService } from "./keys/key-set-service.js";
import { openKeys } from "./keys/parts.js";
import { Lifetimes } from "./lifetimes.js";
import { createMemberIssuer } from "./membership/parts.js";
import { metricsServices } from "./metrics/parts.js";
import { connectNats } from "./nats.js";
import { asNatsAway } from "./nats-away.js";
import { natsEndingsOf } from "./nats-access/endings.js";
import { createRevokedUsers, readNatsServers } from "./nats-access/parts.js";
import { readHookSecret } from "./notification/hook-secret.js";
import { operationServices } from "./operations.js";
import { foldOutages } from "./outage-log.js";
import { createProvenanceJudge } from "./provenance/parts.js";
import { retryUntil } from "./retry.js";
import { createDeploymentParts, deploymentServices } from "./rollout/parts.js";
import { startServer } from "./server.js";
import { Stats } from "./stats.js";

export { issueToken, type IssueTerms } from "./auth/issue-token.js";
export type { CoordinatorConfig, CoordinatorOptions } from "./config.js";
export {
  issueNatsUser,
  NatsUserError,
  type NatsMember,
  type NatsUserJwts,
} from "./nats-access/issue-user.js";
export { NatsKeysError, readIssuerKeys } from "./nats-access/key-files.js";
export type { IssuerKeys } from "./nats-access/keys.js";
export { writeNatsUser } from "./nats-access/write-nats-user.js";
export { writeNatsConfig, type NatsConfigOptions } from "./nats-access/write-nats-config.js";

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
 * @param metrics what it counts is registered here.
 * @throws Error with a one-line reason if something can't be reached within startTimeoutMs.
 */
export async function startCoordinator(
  options: CoordinatorOptions,
  {
    log: given,
    signal = new AbortController().signal,
    metrics,
  }: { log: Logger; signal?: AbortSignal; metrics?: Registry | undefined },
): Promise<Coordinator> {
  const config = resolveConfig(options);
  const { log, stop: stopFolding } = foldOutages(given);
  const lifetimes = new Lifetimes(log);
  lifetimes.add("the log of outages", async () => stopFolding());
  try {
    // Before anything is migrated, published or led: with files that do not fit nobody is served.
    const certificates = config.tls && (await ServerCertificates.open(config.tls, log));
    const context = await createContext(config, lifetimes, { log, signal, metrics });
    const server = await startServer(context, certificates);
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
  { log, signal, metrics }: { log: Logger; signal: AbortSignal; metrics: Registry | undefined },
): Promise<Context> {
  const stats = new Stats();
  const keys = await openKeys(config, { log, stats });
  const { goalSigner, fleetKeys } = keys;
  const hookSecret = await readHookSecret(config.hookSecretFile);
  const memberIssuer = await createMemberIssuer(config, keys);
  const natsServers = await readNatsServers(config);
  const until = { deadline: steadyClock.now() + config.startTimeoutMs, signal, log };
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
  await migrateBoth(config, until);
  const natsLink = await retryUntil("connecting to NATS", until, () =>
    connectNats(natsServers, log).catch((error: unknown) => {
      throw asNatsAway(error, config.natsUrls);
    }),
  );
  const { connection: nats, isConnected } = natsLink;
  lifetimes.add("NATS", () => nats.close());
  const natsEndings = new Endings(natsEndingsOf(config, natsLink), log);
  natsEndings.start();
  lifetimes.add("warning of ends", () => natsEndings.stop());

  const events = new EventBus(log);
  const notifications = new Notifications({ url: config.databaseUrl, db, events, log });
  notifications.start();
  lifetimes.add("notifications", () => notifications.stop());

  const clocks = { clock: systemClock, steady: steadyClock };
  const connected = { config, log, ...clocks, db, replicationDb, nats, events, stats };
  const base = { ...connected, ...createBuildParts({ ...connected, queueDb }) };
  const bucket = new GoalBucket(nats, { log, stats });
  const revocations = new RevocationPublisher({
    db,
    bucket,
    signer: createRevocationSigner(goalSigner, fleetKeys),
    clock: systemClock,
    log,
    stats,
  });
  const authenticator =
    config.authentication === "none" ? undefined : new TokenAuthenticator(connected);
  const revokedUsers = await createRevokedUsers(config, connected);
  const provenance = createProvenanceJudge({ ...connected, memberIssuer, fleetKeys });
  const context: Context = {
    ...base,
    ...createDeploymentParts(base, createGoalSigner(goalSigner, fleetKeys)),
    hookSecret,
    revocations,
    revokedUsers,
    memberIssuer,
    fleetKeys,
    provenance,
    authenticator,
  };
  const services = [
    ...buildServices(context),
    ...deploymentServices(context),
    ...operationServices(context),
  ];
  if (authenticator !== undefined) services.push(["looking tokens up", authenticator]);
  if (metrics !== undefined) {
    const connected = () => ({ postgres: notifications.listening, nats: isConnected() });
    services.push(...metricsServices(context, metrics, { connected, natsEndings }));
  }
  if (fleetKeys !== undefined) {
    const service = keySetService({
      keys: fleetKeys,
      publisher: new KeySetPublisher({ keys: fleetKeys, bucket, log, stats }),
      nats,
      publishIntervalMs: config.projectionIntervalMs,
      reloadIntervalMs: config.keySetIntervalMs,
      log,
    });
    services.unshift(["publishing the key set", service]);
  }
  try {
    for (const [what, service] of services) {
      await service.start();
      lifetimes.add(what, () => service.stop());
    }
  } finally {
    // Before the services that ask for signatures: they would wait for them.
    lifetimes.add("signing", () => keys.stop());
  }
  return context;
}
