import { BuildFailureReason } from "@slipway/proto";
import type { Knex } from "knex";
import { writeAudit, type Author } from "../audit/audit-log.js";
import { failedPrecondition, notFound } from "../errors.js";

/**
 * Detaches a submission, or all, and cancels the build when none is left. The last submission stays
 * attached, so that the build still says who wanted it. Answers whether anything changed.
 */
export function cancelBuild(
  db: Knex,
  id: string,
  submissionId: string | undefined,
  by: Author,
): Promise<boolean> {
  return db.transaction(async (trx) => {
    const build = await trx<{ id: string; status: string; builder_id: string | null } & Audited>(
      "builds",
    )
      .where({ id })
      .forUpdate()
      .first("status", "builder_id", "application", "commit_sha");
    if (build === undefined) throw notFound("build", id);
    if (submissionId !== undefined) {
      const attached = await trx<{ id: string; build_id: string; detach_time: Date | null }>(
        "build_submissions",
      )
        .where({ build_id: id })
        .select("id", "detach_time");
      const ours = attached.find((submission) => submission.id === submissionId);
      if (ours === undefined) throw notFound("submission", submissionId);
      if (ours.detach_time !== null) return false;
      refuseIfEnded(id, build.status);
      if (attached.some((other) => other.detach_time === null && other.id !== submissionId)) {
        await trx("build_submissions")
          .where({ id: submissionId })
          .update({ detach_time: trx.fn.now() });
        await trx("builds").where({ id }).increment("revision", 1);
        await audit(trx, id, build, by, `submission ${submissionId} detached`);
        return true;
      }
    }
    refuseIfEnded(id, build.status);
    await trx("builds")
      .where({ id })
      .update({
        status: "FAILED",
        lease_until: null,
        failure_reason: BuildFailureReason.CANCELLED,
        failure_message:
          build.builder_id === null
            ? "cancelled while it waited in the queue"
            : `cancelled while builder ${build.builder_id} built it`,
        finish_time: trx.fn.now(),
        revision: trx.raw("revision + 1"),
      });
    await audit(trx, id, build, by, `cancelled while ${build.status}`);
    return true;
  });
}

/** Of a build, what its audit entries say. */
interface Audited {
  application: string;
  commit_sha: string;
}

function audit(
  trx: Knex.Transaction,
  buildId: string,
  { application, commit_sha: commitSha }: Audited,
  by: Author,
  what: string,
): Promise<void> {
  const message = `${what}; commit ${commitSha}`;
  return writeAudit(trx, { ...by, action: "build.cancel", application, buildId, message });
}

function refuseIfEnded(id: string, status: string): void {
  if (status === "QUEUED" || status === "RUNNING") return;
  throw failedPrecondition("BUILD_ENDED", `build ${id} has ended already: it ${status}`);
}
