import { setTimeout as delay } from "node:timers/promises";
import type { Knex } from "knex";
import type { Context, Service } from "../context.js";
import { runStatement, type Statement } from "../db/connection.js";
import { planReplications, type ReplicationPlan } from "./replication-store.js";

const BATCH = 500;
const MIN_INTERVAL_MS = 50;

interface SucceededRow {
  id: string;
  artifact_digest: string;
  artifact_size_bytes: string;
  finish_time: Date;
  regions: string[];
}

const COLUMNS = `
  b.id, b.artifact_digest, b.artifact_size_bytes, b.finish_time, r.regions
  from builds b join application_revisions r
    on r.application = b.application and r.revision = b.application_revision`;
/** $1 how many at most. */
const UNPLANNED: Statement = {
  name: "slipway_unplanned_builds",
  text: `
    select ${COLUMNS} where b.id in (select build_id from unplanned_builds limit $1)
    order by b.finish_time`,
};
/** $1 build ids. */
const PLANNED: Statement = {
  name: "slipway_planned_builds",
  text: "delete from unplanned_builds where build_id = any($1::uuid[])",
};
/** $1 digest; $2 how many at most. */
const BY_ARTIFACT: Statement = {
  name: "slipway_builds_of_artifact",
  text: `select ${COLUMNS} where b.artifact_digest = $1 limit $2`,
};

/**
 * Sees to it that every succeeded build has its rows in the replication database. The two databases
 * share no transaction: a build is marked only after its rows are there, and making them twice does
 * no harm, so every coordinator does this.
 */
export class ReplicationPlanner implements Service {
  readonly #context: Pick<Context, "db" | "replicationDb" | "events" | "log" | "config">;
  readonly #stop = new AbortController();
  #running: Promise<void> | undefined;

  constructor(context: Pick<Context, "db" | "replicationDb" | "events" | "log" | "config">) {
    this.#context = context;
  }

  start(): void {
    if (this.#stop.signal.aborted || this.#running !== undefined) return;
    this.#running = this.#run();
  }

  async stop(): Promise<void> {
    this.#stop.abort();
    await this.#running;
  }

  /** Plans every build that was not planned yet. Answers how many. */
  async runOnce(): Promise<number> {
    const { db, replicationDb, events } = this.#context;
    let planned = 0;
    while (!this.#stop.signal.aborted) {
      const rows = await runStatement<SucceededRow>(db, UNPLANNED, [BATCH]);
      if (rows.length === 0) break;
      await planReplications(replicationDb, rows.map(toPlan));
      await runStatement(db, PLANNED, [rows.map(({ id }) => id)]);
      events.publish(
        ...rows.map((row) => ({ kind: "artifact" as const, id: row.artifact_digest })),
      );
      planned += rows.length;
      if (rows.length < BATCH) break;
    }
    return planned;
  }

  async #run(): Promise<void> {
    const { events, log, config } = this.#context;
    const { signal } = this.#stop;
    // Whoever completes a build says that its artifact changed.
    const changes = events.watch("artifact");
    try {
      while (!signal.aborted) {
        try {
          await this.runOnce();
        } catch (error) {
          log.warn({ err: error }, "planning replications failed; retrying");
        }
        // Progress of copies signals changes as well.
        await delay(MIN_INTERVAL_MS, undefined, { signal }).catch(() => undefined);
        await changes.next({ timeoutMs: config.pollIntervalMs, signal }).catch(() => undefined);
      }
    } finally {
      changes.close();
    }
  }
}

/** Makes the rows of every succeeded build of an artifact. Answers whether there is such a build. */
export async function planArtifact(
  db: Knex,
  replicationDb: Knex,
  digest: string,
): Promise<boolean> {
  const rows = await runStatement<SucceededRow>(db, BY_ARTIFACT, [digest, BATCH]);
  await planReplications(replicationDb, rows.map(toPlan));
  return rows.length > 0;
}

function toPlan(row: SucceededRow): ReplicationPlan {
  return {
    artifactDigest: row.artifact_digest,
    sizeBytes: Number(row.artifact_size_bytes),
    regions: row.regions,
    finishTime: row.finish_time,
  };
}
