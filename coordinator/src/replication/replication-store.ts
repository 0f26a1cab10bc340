import { ReplicationState, type Replication } from "@slipway/proto";
import type { Knex } from "knex";
import type { ReplicationStatusReader } from "../context.js";
import { runStatement, type Statement } from "../db/connection.js";
import { nextReplication, type StoredState } from "./next-replication.js";

interface ReplicationRow {
  artifact_digest: string;
  region: string;
  state: StoredState;
  bytes_copied: string;
  size_bytes: string;
  message: string;
  failures: number;
  offer: string;
  offer_time: Date;
  update_time: Date;
}

/** An artifact and the regions that should hold it. */
export interface ReplicationPlan {
  artifactDigest: string;
  sizeBytes: number;
  regions: readonly string[];
  /** Of the build: what is older is offered first. */
  finishTime: Date;
}

/** What a region said of an artifact. */
export interface ReplicationReport {
  region: string;
  artifactDigest: string;
  state: StoredState;
  bytesCopied: number;
  message: string;
}

/** An artifact that a region is to copy. `offer` rises when it is to be told again. */
export interface Target {
  artifactDigest: string;
  sizeBytes: number;
  offer: number;
}

const STATES: Record<StoredState, ReplicationState> = {
  PENDING: ReplicationState.PENDING,
  COPYING: ReplicationState.COPYING,
  COMPLETE: ReplicationState.COMPLETE,
  FAILED: ReplicationState.FAILED,
};

/** $1 digests; $2 regions; $3 sizes; $4 when they are due. */
const PLAN: Statement = {
  name: "slipway_plan_replications",
  text: `
    insert into replications (artifact_digest, region, state, size_bytes, offer_time)
    select digest, region, 'PENDING', size_bytes, offer_time
    from unnest($1::text[], $2::text[], $3::bigint[], $4::timestamptz[])
      with ordinality plan(digest, region, size_bytes, offer_time, number)
    order by number
    on conflict (artifact_digest, region) do nothing`,
};

/** Makes the rows that are missing; those that are there stay as they are. */
export async function planReplications(db: Knex, plans: readonly ReplicationPlan[]): Promise<void> {
  const rows = plans.flatMap((plan) => plan.regions.map((region) => ({ ...plan, region })));
  if (rows.length === 0) return;
  // In one order everywhere, so that two planners can't deadlock.
  rows.sort((a, b) => (a.artifactDigest + a.region < b.artifactDigest + b.region ? -1 : 1));
  await runStatement(db, PLAN, [
    rows.map(({ artifactDigest }) => artifactDigest),
    rows.map(({ region }) => region),
    rows.map(({ sizeBytes }) => sizeBytes),
    rows.map(({ finishTime }) => finishTime),
  ]);
}

/**
 * Takes what a region says. COMPLETE lapses only when the region says that it lost the artifact
 * (PENDING or FAILED): another agent of the region may still be copying.
 * @returns "unknown" if the region is not to hold it, "unchanged" if it says nothing new.
 */
export async function reportReplication(
  db: Knex,
  report: ReplicationReport,
): Promise<"unknown" | "unchanged" | "changed"> {
  return db.transaction(async (trx) => {
    const key = { artifact_digest: report.artifactDigest, region: report.region };
    const row = await trx<ReplicationRow>("replications").where(key).forUpdate().first();
    if (row === undefined) return "unknown";
    const checked = { check_time: trx.raw("clock_timestamp()") };
    const present = {
      state: row.state,
      bytesCopied: Number(row.bytes_copied),
      sizeBytes: Number(row.size_bytes),
      message: row.message,
      failures: row.failures,
    };
    const next = nextReplication(present, report);
    if (next === undefined) {
      await trx("replications").where(key).update(checked);
      return "unchanged";
    }
    const { state, message, failures, offerAgainAfterMs: wait } = next;
    const again = {
      offer: trx.raw("offer + 1"),
      offer_time: trx.raw("clock_timestamp() + ? * interval '1 ms'", [wait ?? 0]),
    };
    await trx("replications")
      .where(key)
      .update({
        ...checked,
        state,
        message,
        failures,
        bytes_copied: next.bytesCopied,
        update_time: trx.raw("clock_timestamp()"),
        ...(wait === undefined ? {} : again),
      });
    return "changed";
  });
}

/** What the region is to copy and is due, oldest first. */
export async function dueTargets(db: Knex, region: string, limit: number): Promise<Target[]> {
  const rows: Pick<ReplicationRow, "artifact_digest" | "size_bytes" | "offer">[] = await db(
    "replications",
  )
    .select("artifact_digest", "size_bytes", "offer")
    .where({ region })
    .whereNot("state", "COMPLETE")
    .where("offer_time", "<=", db.raw("clock_timestamp()"))
    .orderBy(["offer_time", "artifact_digest"])
    .limit(limit);
  return rows.map((row) => ({
    artifactDigest: row.artifact_digest,
    sizeBytes: Number(row.size_bytes),
    offer: Number(row.offer),
  }));
}

/** Reads what is known of artifacts, regions in order. */
export function replicationReader(db: Knex): ReplicationStatusReader {
  return {
    async get(digests) {
      const found = new Map<string, Replication[]>();
      if (digests.length === 0) return found;
      const rows = await db<ReplicationRow>("replications")
        .whereIn("artifact_digest", [...new Set(digests)])
        .orderBy("region");
      for (const row of rows) {
        const list = found.get(row.artifact_digest) ?? [];
        list.push(toReplication(row));
        found.set(row.artifact_digest, list);
      }
      return found;
    },
  };
}

function toReplication(row: ReplicationRow): Replication {
  return {
    region: row.region,
    artifactDigest: row.artifact_digest,
    state: STATES[row.state],
    bytesCopied: Number(row.bytes_copied),
    sizeBytes: Number(row.size_bytes),
    message: row.message,
    updateTime: row.update_time,
  };
}
