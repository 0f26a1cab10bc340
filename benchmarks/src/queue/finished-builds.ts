import { Client } from "pg";
import { APPLICATION } from "./job-queue.js";

/** A build that succeeded, who submitted it and the audit entry of that, for each number. */
const LOAD = [
  `insert into builds (id, application, application_revision, commit_sha, status, attempt,
     max_attempts, run_limit_ms, builder_id, artifact_digest, artifact_size_bytes,
     artifact_chunk_count, artifact_platform, create_time, start_time, finish_time, revision)
   select uuidv7(past.ago), $2, 1, encode(sha256(past.i::text::bytea), 'hex')::char(40),
     'SUCCEEDED', 1, 3, 3600000, 'bench-' || past.i % 50,
     'sha256:' || encode(sha256(past.i::text::bytea), 'hex'), 1000000, 1, 'linux/x64',
     now() + past.ago, now() + past.ago, now() + past.ago, 3
   from (select i, (i - 1 - $1::integer) * interval '1 s' as ago
     from generate_series(1, $1::integer) i) past`,
  `insert into build_submissions (id, build_id, submitter, create_time)
   select uuidv7(create_time - now()), id, 'bench', create_time from builds
   where application = $2 and $1::integer > 0`,
  `insert into audit_entries (id, time, actor, action, reason, application, build_id, message)
   select uuidv7(create_time - now()), date_trunc('milliseconds', create_time), 'bench',
     'build.submit', '', application, id, 'submitted commit ' || commit_sha
   from builds where application = $2 and $1::integer > 0`,
];

/** Fills a database with so many finished builds, as if it had been in use for long. */
export async function loadFinishedBuilds(connectionString: string, count: number): Promise<void> {
  const client = new Client({ connectionString });
  await client.connect();
  try {
    // Foreign keys hold by what is inserted: checking each would take longer than the rest.
    await client.query("set session_replication_role = replica");
    for (const text of LOAD) await client.query(text, [count, APPLICATION]);
    // As autovacuum would have left them.
    await client.query("vacuum analyze builds, build_submissions, audit_entries");
    await client.query("checkpoint");
  } finally {
    await client.end();
  }
}
