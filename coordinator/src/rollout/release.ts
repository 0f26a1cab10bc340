import { ApplicationSpec, type Release, type Strategy } from "@slipway/proto";
import type { Knex } from "knex";
import type { Context } from "../context.js";
import { defaultStrategy } from "../application/strategy.js";
import { failedPrecondition, notFound } from "../errors.js";

interface BuildRow {
  id: string;
  application: string;
  application_revision: number;
  commit_sha: string;
  status: "QUEUED" | "RUNNING" | "SUCCEEDED" | "FAILED";
  failure_message: string | null;
  artifact_digest: string | null;
  artifact_size_bytes: string | null;
  finish_time: Date | null;
  spec: Buffer;
}

/** What a succeeded build can be deployed as, by the application revision that it used. */
export interface ReleasePlan {
  application: string;
  release: Release;
  regions: readonly string[];
  selector: Readonly<Record<string, string>>;
  strategy: Strategy;
  /** When the build finished. */
  finishTime: Date;
}

/**
 * Reads a build as something to deploy. Nothing of it changes any more once it has succeeded.
 * @param builders - who may be waited for, if it is queued.
 * @throws DomainError NOT_FOUND, or FAILED_PRECONDITION if it has not succeeded.
 */
export async function planRelease(
  db: Knex,
  buildId: string,
  builders?: Pick<Context["connectedBuilders"], "queueing">,
): Promise<ReleasePlan> {
  const row = (await db("builds as b")
    .join("application_revisions as r", (join) =>
      join.on("r.application", "b.application").andOn("r.revision", "b.application_revision"),
    )
    .where("b.id", buildId)
    .first("b.*", "r.spec")) as BuildRow | undefined;
  if (row === undefined) throw notFound("build", buildId);
  if (row.artifact_digest === null || row.finish_time === null) {
    const queueing = row.status === "QUEUED" ? await builders?.queueing() : undefined;
    throw notSucceeded(row, queueing?.blockedBy ?? "");
  }
  const spec = ApplicationSpec.decode(row.spec);
  return {
    application: row.application,
    release: {
      buildId: row.id,
      commitSha: row.commit_sha,
      artifactDigest: row.artifact_digest,
      artifactSizeBytes: Number(row.artifact_size_bytes),
      applicationRevision: row.application_revision,
      run: spec.run,
    },
    regions: spec.regions,
    selector: spec.selector,
    // Specs that were stored before there were strategies have none.
    strategy: spec.strategy ?? defaultStrategy(spec.regions, spec.run),
    finishTime: row.finish_time,
  };
}

function notSucceeded(
  { id, status, failure_message: message }: BuildRow,
  blockedBy: string,
): Error {
  const why =
    status === "FAILED"
      ? `it FAILED (${message ?? "no reason"}); submit the commit again`
      : `it is ${status}; wait until it has SUCCEEDED${blockedBy === "" ? "" : `; ${blockedBy}`}`;
  return failedPrecondition("BUILD_NOT_SUCCEEDED", `build ${id} cannot be deployed: ${why}`);
}
