import type { Knex } from "knex";
import { removalLock } from "../application/removal-lock.js";
import { applicationRemoved } from "../application/removed.js";
import { writeAudits, type AuditRecord } from "../audit/audit-log.js";
import { inTransaction, type Session, type Statement } from "../db/connection.js";
import { alreadyExists, notFound, unavailable } from "../errors.js";
import { uuidv7 } from "../uuid.js";
import type { Submission, Submitted } from "./queue.js";

/**
 * Until commit holds every key of the batch, so that two callers can't use one at once, and keeps
 * its applications from being removed. No rows are locked for that: who deploys waits for no builds.
 */
const LOCK: Statement = {
  name: "slipway_lock_submissions",
  text: `
    select pg_advisory_xact_lock_shared(key) from (
      select distinct ${removalLock("a")} as key from unnest($1::text[]) a order by 1
    ) applications
    union all
    select pg_advisory_xact_lock(key) from (
      select distinct hashtextextended('slipway submission ' || k, 0) as key
      from unnest($2::text[]) k order by 1
    ) keys`,
};
const BY_KEY: Statement = {
  name: "slipway_submissions_by_key",
  text: `
    select s.id, s.idempotency_key, s.build_id, b.application, b.commit_sha
    from build_submissions s join builds b on b.id = s.build_id
    where s.idempotency_key = any($1::text[])`,
};
const APPLICATIONS: Statement = {
  name: "slipway_present_revisions",
  text: `
    select name, revision, remove_time is not null as removed from applications
    where name = any($1::text[])`,
};
const INSERT_BUILDS: Statement = {
  name: "slipway_insert_builds",
  text: `
    insert into builds (id, application, application_revision, commit_sha, status, max_attempts,
      run_limit_ms)
    select n.id, n.application, n.revision, n.sha, 'QUEUED', r.max_attempts, r.run_limit_ms
    from unnest($1::uuid[], $2::text[], $3::integer[], $4::text[])
      with ordinality n(id, application, revision, sha, number)
    join application_revisions r on r.application = n.application and r.revision = n.revision
    order by n.number
    on conflict (application, application_revision, commit_sha)
      where finish_time is null do nothing
    returning id`,
};
/** Joining changes the build, and keeps it from being cancelled until we have committed. */
const JOIN_BUILDS: Statement = {
  name: "slipway_join_builds",
  text: `
    update builds b set revision = b.revision + 1
    from unnest($1::text[], $2::integer[], $3::text[]) n(application, revision, sha)
    where b.application = n.application and b.application_revision = n.revision
      and b.commit_sha = n.sha and b.finish_time is null
    returning b.id, b.application, b.commit_sha`,
};
const INSERT_SUBMISSIONS: Statement = {
  name: "slipway_insert_submissions",
  text: `
    insert into build_submissions (id, build_id, idempotency_key, submitter)
    select * from unnest($1::uuid[], $2::uuid[], $3::text[], $4::text[])`,
};

interface KeyRow {
  id: string;
  idempotency_key: string;
  build_id: string;
  application: string;
  commit_sha: string;
}

/** A submission to be stored. */
interface SubmissionRow {
  id: string;
  buildId: string;
  key: string | null;
  submitter: string;
  tokenId: string | undefined;
  application: string;
  commitSha: string;
  merged: boolean;
}

/** Submissions that end in the same build. */
interface Group {
  application: string;
  revision: number;
  commitSha: string;
  buildId: string;
  created: boolean;
}

const ROUNDS = 5;

/** Submits a batch in one transaction: one result or error for each, in order. */
export function submitBatch(
  db: Knex,
  submissions: readonly Submission[],
): Promise<(Submitted | Error)[]> {
  return inTransaction(db, async (session) => {
    const names = [...new Set(submissions.map(({ application }) => application))];
    const keys = submissions
      .map(({ idempotencyKey }) => idempotencyKey)
      .filter((key) => key !== "");
    await session.run(LOCK, [names, keys]);
    const known = await submissionsByKey(session, keys);
    const revisions = await presentRevisions(session, names);
    const groups = new Map<string, Group>();
    for (const { application, commitSha } of submissions) {
      const revision = revisions.get(application);
      const name = groupName(application, commitSha);
      if (revision === undefined || revision === "removed" || groups.has(name)) continue;
      groups.set(name, { application, revision, commitSha, buildId: "", created: false });
    }
    const wanted = submissions.filter(({ idempotencyKey: key }) => key === "" || !known.has(key));
    const wantedNames = new Set(wanted.map((item) => groupName(item.application, item.commitSha)));
    await findOrCreate(
      session,
      [...wantedNames].sort().flatMap((name) => groups.get(name) ?? []),
    );

    const rows: SubmissionRow[] = [];
    const results = submissions.map((submission): Submitted | Error => {
      const { application, commitSha, idempotencyKey: key, submitter, tokenId } = submission;
      const before = key === "" ? undefined : known.get(key);
      if (before !== undefined) return answerBefore(submission, before);
      const group = groups.get(groupName(application, commitSha));
      if (group === undefined) {
        return revisions.has(application)
          ? applicationRemoved(application, "build it")
          : notFound("application", application);
      }
      if (group.buildId === "") {
        return unavailable("BUILD_CONTENDED", "the build kept changing hands; try again");
      }
      const id = uuidv7();
      const merged = !group.created;
      const { buildId } = group;
      const row = { id, buildId, submitter, tokenId, application, commitSha, merged };
      rows.push({ ...row, key: key === "" ? null : key });
      if (key !== "") {
        known.set(key, {
          id,
          idempotency_key: key,
          build_id: group.buildId,
          application,
          commit_sha: commitSha,
        });
      }
      group.created = false;
      return { buildId, submissionId: id, merged };
    });
    if (rows.length > 0) {
      await session.run(INSERT_SUBMISSIONS, [
        rows.map(({ id }) => id),
        rows.map(({ buildId }) => buildId),
        rows.map(({ key }) => key),
        rows.map(({ submitter }) => submitter),
      ]);
      await writeAudits(session, rows.map(auditOf));
    }
    return results;
  });
}

async function submissionsByKey(
  session: Session,
  keys: readonly string[],
): Promise<Map<string, KeyRow>> {
  if (keys.length === 0) return new Map();
  const rows = await session.run<KeyRow>(BY_KEY, [keys]);
  return new Map(rows.map((row) => [row.idempotency_key, row]));
}

async function presentRevisions(
  session: Session,
  names: readonly string[],
): Promise<Map<string, number | "removed">> {
  const rows = await session.run<{ name: string; revision: number; removed: boolean }>(
    APPLICATIONS,
    [names],
  );
  return new Map(rows.map(({ name, revision, removed }) => [name, removed ? "removed" : revision]));
}

/** Gives each group its build. One whose build ends between the two statements goes round again. */
async function findOrCreate(session: Session, groups: readonly Group[]): Promise<void> {
  let missing = groups;
  for (let round = 0; missing.length > 0 && round < ROUNDS; round += 1) {
    const ids = missing.map(() => uuidv7());
    const key = [
      missing.map(({ application }) => application),
      missing.map(({ revision }) => revision),
      missing.map(({ commitSha }) => commitSha),
    ];
    const created = await session.run<{ id: string }>(INSERT_BUILDS, [ids, ...key]);
    const isCreated = new Set(created.map(({ id }) => id));
    for (const [index, group] of missing.entries()) {
      const id = ids[index] ?? "";
      if (isCreated.has(id)) Object.assign(group, { buildId: id, created: true });
    }
    missing = missing.filter(({ buildId }) => buildId === "");
    if (missing.length === 0) return;
    const joined = await session.run<{ id: string; application: string; commit_sha: string }>(
      JOIN_BUILDS,
      [
        missing.map(({ application }) => application),
        missing.map(({ revision }) => revision),
        missing.map(({ commitSha }) => commitSha),
      ],
    );
    const byName = new Map(joined.map((row) => [groupName(row.application, row.commit_sha), row]));
    for (const group of missing) {
      group.buildId = byName.get(groupName(group.application, group.commitSha))?.id ?? "";
    }
    missing = missing.filter(({ buildId }) => buildId === "");
  }
}

function auditOf(row: SubmissionRow): AuditRecord {
  const { submitter: actor, tokenId, application, buildId, commitSha } = row;
  const what = row.merged ? "joined a build of" : "submitted";
  const message = `${what} commit ${commitSha}`;
  return { actor, tokenId, action: "build.submit", application, buildId, message };
}

function answerBefore(submission: Submission, before: KeyRow): Submitted | Error {
  const same =
    before.application === submission.application && before.commit_sha === submission.commitSha;
  if (same) return { buildId: before.build_id, submissionId: before.id, merged: true };
  return alreadyExists(
    "IDEMPOTENCY_KEY_REUSED",
    `this idempotency key named ${before.application} at ${before.commit_sha} before; ` +
      "use another key for another build",
  );
}

const groupName = (application: string, commitSha: string): string => `${application} ${commitSha}`;
