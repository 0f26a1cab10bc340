import type { Migration } from "../migrate.js";

/** The replication database's schema, in order. */
export const replicationMigrations: readonly Migration[] = [];
