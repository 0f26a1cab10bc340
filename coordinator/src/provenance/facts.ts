import { ApplicationSpec, type Artifact, type BuildFacts } from "@slipway/proto";
import type { Knex } from "knex";
import { runStatement, type Statement } from "../db/connection.js";
import type { LeaseKey } from "../queue/queue.js";

/** $1 to $3 a lease. */
const READ: Statement = {
  name: "slipway_provenance_facts",
  text: `
    select b.application, b.application_revision, b.commit_sha, b.max_attempts, r.spec,
      exists (select from members m where m.id = b.builder_id and m.revoke_time is not null
        and coalesce(m.role, 'BUILDER') = 'BUILDER') as revoked
    from builds b join application_revisions r
      on r.application = b.application and r.revision = b.application_revision
    where b.id = $1 and b.attempt = $2 and b.builder_id = $3`,
};

/** What a provenance of a lease has to fit. */
export interface LeaseFacts extends BuildFacts {
  maxAttempts: number;
  /** The builder was taken out of the fleet. */
  isRevoked: boolean;
}

/** Undefined unless it is the build's present attempt and builder, whether or not it has ended. */
export async function readFacts(
  db: Knex,
  lease: LeaseKey,
  artifact: Artifact,
): Promise<LeaseFacts | undefined> {
  const { buildId, attempt, builderId } = lease;
  const [row] = await runStatement<{
    application: string;
    application_revision: number;
    commit_sha: string;
    max_attempts: number;
    spec: Buffer;
    revoked: boolean;
  }>(db, READ, [buildId, attempt, builderId]);
  if (row === undefined) return undefined;
  const { source, build } = ApplicationSpec.decode(row.spec);
  return {
    buildId,
    attempt,
    builderId,
    application: row.application,
    applicationRevision: row.application_revision,
    repository: source?.repository ?? "",
    commitSha: row.commit_sha,
    command: build?.command ?? [],
    artifact,
    maxAttempts: row.max_attempts,
    isRevoked: row.revoked,
  };
}
