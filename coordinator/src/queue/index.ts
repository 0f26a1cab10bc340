import type { ApplicationSpec } from "@slipway/proto";
import type { Logger } from "pino";
import { checkSpec } from "../application/spec.js";
import { applyApplication } from "../application/store.js";
import { resolveConfig } from "../config.js";
import { openDatabase } from "../db/connection.js";
import { migrate } from "../db/migrate.js";
import { migrations } from "../db/migrations/index.js";
import { Notifications } from "../db/notifications.js";
import { EventBus } from "../events.js";
import { Violations } from "../validate.js";
import { Dispatcher } from "./dispatcher.js";
import { PostgresQueue } from "./postgres-queue.js";
import type { BuildQueue } from "./queue.js";

export type { BuildQueue, LeasedBuild, LeaseState } from "./queue.js";

/** The build queue as a coordinator has it, without the coordinator. */
export interface OpenQueue {
  queue: BuildQueue;
  dispatcher: Pick<Dispatcher, "seat">;
  /** Creates an application, or gives it a new revision. @throws DomainError if its spec is wrong. */
  apply(application: string, spec: ApplicationSpec): Promise<void>;
  close(): Promise<void>;
}

/** Migrates the database and opens the queue in it, with a coordinator's default settings. */
export async function openQueue(url: string, log: Logger): Promise<OpenQueue> {
  // Of what the settings hold beside the queue's own nothing is opened.
  const replication = new URL(url);
  replication.pathname += "-replication";
  const config = resolveConfig({
    listen: { host: "localhost", port: 0 },
    databaseUrl: url,
    replicationDatabaseUrl: replication.href,
    natsUrls: [],
    goalKeyFile: "",
  });
  const {
    databasePoolSize: poolSize,
    statementTimeoutMs,
    leaseDurationMs,
    pollIntervalMs,
  } = config;
  await migrate(url, migrations, { timeoutMs: config.startTimeoutMs, log });
  const pool = { url, poolSize, statementTimeoutMs, log };
  const db = openDatabase({ ...pool, applicationName: "slipway" });
  const queueDb = openDatabase({ ...pool, applicationName: "slipway queue", byIndex: true });
  const events = new EventBus(log);
  const notifications = new Notifications({ url, db, events, log });
  notifications.start();
  const queue = new PostgresQueue({ db: queueDb, events, leaseDurationMs });
  const dispatcher = new Dispatcher({ queue, events, pollIntervalMs, log });
  dispatcher.start();
  return {
    queue,
    dispatcher,
    async apply(application, spec) {
      const found = new Violations();
      const checked = checkSpec(spec, found);
      found.throwIfAny();
      await applyApplication(db, application, checked, 0);
    },
    async close() {
      await dispatcher.stop();
      await notifications.stop();
      await queueDb.destroy();
      await db.destroy();
    },
  };
}
