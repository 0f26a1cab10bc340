import type { Migration } from "../migrate.js";
import { replications } from "./0001-replications.js";

/** The replication database's schema, in order. */
export const replicationMigrations: readonly Migration[] = [replications];
