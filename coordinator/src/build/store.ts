import {
  BuildStatus,
  type Artifact,
  type Build,
  type BuildFailure,
  type BuildFailureReason,
} from "@slipway/proto";
import type { Knex } from "knex";
import { runStatement } from "../db/connection.js";
import { notFound } from "../errors.js";

/** A build as it is kept: without what the replication database knows of it. */
export interface StoredBuild {
  build: Build;
  /** Regions of its application revision. */
  regions: readonly string[];
}

interface BuildRow {
  id: string;
  application: string;
  application_revision: number;
  commit_sha: string;
  status: "QUEUED" | "RUNNING" | "SUCCEEDED" | "FAILED";
  attempt: number;
  max_attempts: number;
  builder_id: string | null;
  artifact_digest: string | null;
  artifact_size_bytes: string | null;
  artifact_chunk_count: number | null;
  artifact_platform: string | null;
  failure_reason: number | null;
  failure_message: string | null;
  failure_exit_code: number | null;
  create_time: Date;
  start_time: Date | null;
  finish_time: Date | null;
  revision: string;
  regions: string[];
  submitters: string[];
}

const COLUMNS = `
  b.id, b.application, b.application_revision, b.commit_sha, b.status, b.attempt, b.max_attempts,
  b.builder_id, b.artifact_digest, b.artifact_size_bytes, b.artifact_chunk_count,
  b.artifact_platform, b.failure_reason, b.failure_message, b.failure_exit_code, b.create_time,
  b.start_time, b.finish_time, b.revision, r.regions,
  array(select s.submitter from build_submissions s
    where s.build_id = b.id and s.detach_time is null order by s.id limit 100) as submitters
  from builds b join application_revisions r
    on r.application = b.application and r.revision = b.application_revision`;

const GET = { name: "slipway_get_build", text: `select ${COLUMNS} where b.id = $1` };

/** @throws DomainError NOT_FOUND */
export async function getBuild(db: Knex, id: string): Promise<StoredBuild> {
  const [row] = await runStatement<BuildRow>(db, GET, [id]);
  if (row === undefined) throw notFound("build", id);
  return fromRow(row);
}

export interface BuildFilter {
  application: string | undefined;
  status: BuildStatus | undefined;
  commitSha: string | undefined;
  /** Only builds that are older than this one. */
  before: string | undefined;
}

/** Newest first. */
export async function listBuilds(
  db: Knex,
  filter: BuildFilter,
  limit: number,
): Promise<StoredBuild[]> {
  const conditions: string[] = [];
  const values: unknown[] = [];
  const add = (condition: string, value: unknown): void => {
    if (value === undefined) return;
    values.push(value);
    conditions.push(`${condition} $${values.length}`);
  };
  add("b.application =", filter.application);
  add("b.status =", filter.status === undefined ? undefined : BuildStatus[filter.status]);
  add("b.commit_sha =", filter.commitSha);
  add("b.id <", filter.before);
  const where = conditions.length === 0 ? "" : `where ${conditions.join(" and ")}`;
  values.push(limit);
  // One name for each combination of conditions.
  const rows = await runStatement<BuildRow>(
    db,
    {
      name: `slipway_list_builds ${conditions.map((part) => part.slice(2, 5)).join()}`,
      text: `select ${COLUMNS} ${where} order by b.id desc limit $${values.length}`,
    },
    values,
  );
  return rows.map(fromRow);
}

function fromRow(row: BuildRow): StoredBuild {
  const build: Build = {
    id: row.id,
    application: row.application,
    applicationRevision: row.application_revision,
    commitSha: row.commit_sha,
    status: BuildStatus[row.status],
    attempt: row.attempt,
    maxAttempts: row.max_attempts,
    builderId: row.builder_id ?? "",
    artifact: artifactOf(row),
    failure: failureOf(row),
    createTime: row.create_time,
    startTime: row.start_time ?? undefined,
    finishTime: row.finish_time ?? undefined,
    submitters: row.submitters.filter((submitter) => submitter !== ""),
    revision: Number(row.revision),
    replications: [],
    deployable: false,
    provenance: undefined,
    queueing: undefined,
  };
  return { build, regions: row.regions };
}

function artifactOf(row: BuildRow): Artifact | undefined {
  if (row.artifact_digest === null) return undefined;
  return {
    digest: row.artifact_digest,
    sizeBytes: Number(row.artifact_size_bytes),
    chunkCount: row.artifact_chunk_count ?? 0,
    platform: row.artifact_platform ?? "",
  };
}

function failureOf(row: BuildRow): BuildFailure | undefined {
  if (row.failure_reason === null) return undefined;
  return {
    reason: row.failure_reason as BuildFailureReason,
    message: row.failure_message ?? "",
    exitCode: row.failure_exit_code ?? undefined,
  };
}
