import knex, { type Knex } from "knex";
import { DatabaseError, type Client, type ClientConfig, type QueryResultRow } from "pg";
import type { Logger } from "pino";

export interface DatabaseOptions {
  url: string;
  /** Connections at most. */
  poolSize: number;
  /** One statement's time on the server, in milliseconds. */
  statementTimeoutMs: number;
  /** How long a statement waits for a lock, in milliseconds. Default: as long as it may take. */
  lockTimeoutMs?: number;
  /**
   * Statements go by indexes and loops, whatever statistics say. Those of a queue are out of date at
   * any time: taken while it was empty, they have the planner read and sort the whole table for each
   * lease afterwards. For statements that are written for it. Default false.
   */
  byIndex?: boolean;
  /** Shown in pg_stat_activity. */
  applicationName: string;
  /** Where connections that fail are logged. Default: nowhere; whoever asked gets the error. */
  log?: Logger | undefined;
}

const BY_INDEX = ["seqscan", "bitmapscan", "sort", "hashjoin", "mergejoin"]
  .map((name) => `-c enable_${name}=off`)
  // What is off and needed nevertheless looks so dear that compiling it would seem to pay.
  .concat("-c jit=off")
  // Planned once: a plan for each number of builders would seem cheaper, and is the same.
  .concat("-c plan_cache_mode=force_generic_plan")
  .join(" ");

/** Settings of one connection. A transaction left open slows leasing down for all, so it is cut. */
export function connectionConfig(options: Omit<DatabaseOptions, "poolSize">): ClientConfig {
  return {
    connectionString: options.url,
    application_name: options.applicationName,
    statement_timeout: options.statementTimeoutMs,
    ...(options.lockTimeoutMs === undefined ? {} : { lock_timeout: options.lockTimeoutMs }),
    // The server may be gone without a word: give up here a little later than it would.
    query_timeout: options.statementTimeoutMs + 5_000,
    idle_in_transaction_session_timeout: 10_000,
    connectionTimeoutMillis: 5_000,
    keepAlive: true,
    ...(options.byIndex === true ? { options: BY_INDEX } : {}),
  };
}

/** A pool of connections; it opens them when they are needed and again after a loss. */
export function openDatabase(options: DatabaseOptions): Knex {
  return knex({
    client: "pg",
    connection: { ...connectionConfig(options) } as Knex.PgConnectionConfig,
    acquireConnectionTimeout: 5_000,
    log: knexLogger(options.log),
    pool: { min: 0, max: options.poolSize, idleTimeoutMillis: 30_000 },
  });
}

/** Knex would write plain lines to the console. Whoever asked says of an error what matters. */
function knexLogger(log: Logger | undefined): Knex.Logger {
  const say = (message: unknown): void =>
    log?.debug({ database: String(message).split("\n")[0] }, "knex");
  return { debug: say, warn: say, error: say, deprecate: say };
}

/** A statement with a name is parsed and planned once a connection, which doubles short ones. */
export interface Statement {
  name: string;
  /** With $1, $2, … */
  text: string;
}

/** Runs statements on one connection. */
export interface Session {
  run<Row extends QueryResultRow>(statement: Statement, values: readonly unknown[]): Promise<Row[]>;
}

/** Runs a named prepared statement on a connection of the pool. */
export function runStatement<Row extends QueryResultRow>(
  db: Knex,
  statement: Statement,
  values: readonly unknown[],
): Promise<Row[]> {
  return withSession(db, (session) => session.run<Row>(statement, values));
}

/** Runs the work in a transaction, which fails with it. */
export function inTransaction<T>(db: Knex, work: (session: Session) => Promise<T>): Promise<T> {
  return withSession(db, async (session) => {
    await session.run({ name: "slipway_begin", text: "begin" }, []);
    try {
      const result = await work(session);
      await session.run({ name: "slipway_commit", text: "commit" }, []);
      return result;
    } catch (error) {
      // If this fails too the connection is thrown away, and the transaction with it.
      await session.run({ name: "slipway_rollback", text: "rollback" }, []).catch(() => undefined);
      throw error;
    }
  });
}

/** Knex throws a connection that is marked so away instead of lending it again. */
const DISPOSED = "__knex__disposed";

async function withSession<T>(db: Knex, work: (session: Session) => Promise<T>): Promise<T> {
  const client = db.client as Knex.Client;
  const connection = (await client.acquireConnection()) as Client;
  const session: Session = {
    async run<Row extends QueryResultRow>(
      { name, text }: Statement,
      values: readonly unknown[],
    ): Promise<Row[]> {
      try {
        const result = await connection.query<Row>({ name, text, values: [...values] });
        return result.rows;
      } catch (error) {
        // Anything but the server's own answer leaves the connection in an unknown state.
        if (!(error instanceof DatabaseError)) Object.assign(connection, { [DISPOSED]: error });
        throw error;
      }
    },
  };
  try {
    return await work(session);
  } finally {
    await client.releaseConnection(connection);
  }
}
