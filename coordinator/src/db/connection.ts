import knex, { type Knex } from "knex";
import type { Client, ClientConfig, QueryResult, QueryResultRow } from "pg";

export interface DatabaseOptions {
  url: string;
  /** Connections at most. */
  poolSize: number;
  /** One statement's time on the server, in milliseconds. */
  statementTimeoutMs: number;
  /** Shown in pg_stat_activity. */
  applicationName: string;
}

/** Settings of one connection. A transaction left open slows leasing down for all, so it is cut. */
export function connectionConfig(options: Omit<DatabaseOptions, "poolSize">): ClientConfig {
  return {
    connectionString: options.url,
    application_name: options.applicationName,
    statement_timeout: options.statementTimeoutMs,
    // The server may be gone without a word: give up here a little later than it would.
    query_timeout: options.statementTimeoutMs + 5_000,
    idle_in_transaction_session_timeout: 10_000,
    connectionTimeoutMillis: 5_000,
    keepAlive: true,
  };
}

/** A pool of connections; it opens them when they are needed and again after a loss. */
export function openDatabase(options: DatabaseOptions): Knex {
  return knex({
    client: "pg",
    connection: { ...connectionConfig(options) } as Knex.PgConnectionConfig,
    acquireConnectionTimeout: 5_000,
    pool: { min: 0, max: options.poolSize, idleTimeoutMillis: 30_000 },
  });
}

/** A statement with a name is parsed and planned once a connection, which doubles short ones. */
export interface Statement {
  name: string;
  /** With $1, $2, … */
  text: string;
}

/** Runs a named prepared statement on a connection of the pool (or of the transaction). */
export async function runStatement<Row extends QueryResultRow>(
  db: Knex,
  { name, text }: Statement,
  values: readonly unknown[],
): Promise<Row[]> {
  const client = db.client as Knex.Client;
  const connection = (await client.acquireConnection()) as Client;
  try {
    const result: QueryResult<Row> = await connection.query({ name, text, values: [...values] });
    return result.rows;
  } finally {
    await client.releaseConnection(connection);
  }
}
