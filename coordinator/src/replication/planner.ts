import { setTimeout as delay } from "node:timers/promises";
import { ApplicationSpec } from "@slipway/proto";
import type { Knex } from "knex";
import type { Context, Service } from "../context.js";
import { planReplications, type ReplicationPlan } from "./replication-store.js";

const BATCH = 500;
const MIN_INTERVAL_MS = 50;

interface UnplannedRow {
  id: string;
  artifact_digest: string;
  artifact_size_bytes: string;
  finish_time: Date;
  spec: Buffer;
}

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
      const rows = await unplanned(db);
      if (rows.length === 0) break;
      await planReplications(replicationDb, rows.map(toPlan));
      await db("builds")
        .whereIn(
          "id",
          rows.map(({ id }) => id),
        )
        .update({ replication_planned: true });
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
  const rows = await succeeded(db).where("b.artifact_digest", digest).limit(BATCH);
  await planReplications(replicationDb, rows.map(toPlan));
  return rows.length > 0;
}

function unplanned(db: Knex): Promise<UnplannedRow[]> {
  return succeeded(db).whereRaw("not b.replication_planned").orderBy("b.finish_time").limit(BATCH);
}

function succeeded(db: Knex): Knex.QueryBuilder<object, UnplannedRow[]> {
  return db("builds as b")
    .join("application_revisions as r", (join) =>
      join.on("r.application", "b.application").andOn("r.revision", "b.application_revision"),
    )
    .where("b.status", "SUCCEEDED")
    .select("b.id", "b.artifact_digest", "b.artifact_size_bytes", "b.finish_time", "r.spec");
}

function toPlan(row: UnplannedRow): ReplicationPlan {
  return {
    artifactDigest: row.artifact_digest,
    sizeBytes: Number(row.artifact_size_bytes),
    regions: ApplicationSpec.decode(row.spec).regions,
    finishTime: row.finish_time,
  };
}
