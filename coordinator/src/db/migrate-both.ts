import type { Logger } from "pino";
import type { CoordinatorConfig } from "../config.js";
import { retryUntil } from "../retry.js";
import { migrate } from "./migrate.js";
import { migrations } from "./migrations/index.js";
import { DatabaseRefusedError, withOption } from "./refused.js";
import { replicationMigrations } from "./replication-migrations/index.js";

const isFinal = (error: unknown): boolean => error instanceof DatabaseRefusedError;

/**
 * Brings both of a coordinator's databases to the newest schema, and waits for them until the deadline.
 * @throws DatabaseRefusedError at once, for what waiting does not mend; Error after the deadline.
 */
export async function migrateBoth(
  config: Pick<CoordinatorConfig, "databaseUrl" | "replicationDatabaseUrl" | "startTimeoutMs">,
  until: { deadline: number; signal: AbortSignal; log: Logger },
): Promise<void> {
  const { databaseUrl, replicationDatabaseUrl, startTimeoutMs: timeoutMs } = config;
  const patient = { ...until, isFinal };
  await retryUntil("migrating the database", patient, () =>
    withOption("--database-url", () =>
      migrate(databaseUrl, migrations, { timeoutMs, log: until.log }),
    ),
  );
  await retryUntil("migrating the replication database", patient, () =>
    withOption("--replication-database-url", () =>
      migrate(replicationDatabaseUrl, replicationMigrations, { timeoutMs, log: until.log }),
    ),
  );
}
