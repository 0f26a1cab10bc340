import { BuildFailureReason } from "@slipway/proto";
import type { Statement } from "../db/connection.js";

/** The queue's SQL on leases, for connections that go by indexes. Times are the database's own. */

/**
 * $1 builders, one for each build wanted; $2 how many; $3 lease period in ms. No column that it
 * changes is in an index, so that a lease costs none of them anything.
 */
export const LEASE: Statement = {
  name: "slipway_lease",
  text: `
    with oldest as materialized (
      select id from builds where finish_time is null and status = 'QUEUED'
      order by create_time, id limit $2 for no key update skip locked
    ), numbered as (
      select id, row_number() over () as number from oldest
    )
    update builds b
    set status = 'RUNNING', attempt = b.attempt + 1, builder_id = ($1::text[])[n.number],
      lease_until = now() + $3 * interval '1 ms', start_time = now(), revision = b.revision + 1
    from numbered n where b.id = n.id
    returning b.id, b.attempt, b.builder_id, b.application, b.application_revision, b.commit_sha`,
};

/** Answered by the number of the lease, from 1. */
const LEASES = `unnest($1::uuid[], $2::integer[], $3::text[]) with ordinality`;
/** By the primary key. */
const HOLDS = `b.id = l.id and b.attempt = l.attempt and b.builder_id = l.builder
      and b.status = 'RUNNING'`;

/** $1 to $3 leases; $4 lease period in ms. */
export const HEARTBEAT: Statement = {
  name: "slipway_heartbeat",
  text: `
    update builds b set lease_until = now() + $4 * interval '1 ms'
    from ${LEASES} l(id, attempt, builder, number) where ${HOLDS} returning l.number::integer`,
};

/** $1 to $3 leases. As if they had never been leased: nobody was told of these attempts. */
export const RELEASE: Statement = {
  name: "slipway_release",
  text: `
    update builds b set status = 'QUEUED', attempt = b.attempt - 1, builder_id = null,
      lease_until = null, start_time = null, revision = b.revision + 1
    from ${LEASES} l(id, attempt, builder, number) where ${HOLDS} returning l.number::integer`,
};

/** $1 to $3 leases; $4 to $7 artifacts. Leaves word for the planner of replications. */
export const COMPLETE: Statement = {
  name: "slipway_complete",
  text: `
    with done as (
      update builds b
      set status = 'SUCCEEDED', lease_until = null, finish_time = now(), artifact_digest = l.digest,
        artifact_size_bytes = l.size_bytes, artifact_chunk_count = l.chunk_count,
        artifact_platform = l.platform, revision = b.revision + 1
      from unnest($1::uuid[], $2::integer[], $3::text[], $4::text[], $5::bigint[], $6::integer[],
        $7::text[]) with ordinality
        l(id, attempt, builder, digest, size_bytes, chunk_count, platform, number)
      where ${HOLDS} returning b.id, l.number::integer
    ), unplanned as (
      insert into unplanned_builds (build_id) select id from done
    )
    select number from done`,
};

const EXHAUSTED = BuildFailureReason.ATTEMPTS_EXHAUSTED;
const DEADLINE = BuildFailureReason.DEADLINE_EXCEEDED;

/** $1 to $3 leases; $4 retry; $5 to $7 failures. */
export const FAIL: Statement = {
  name: "slipway_fail",
  text: `
    update builds b
    set status = case when l.again then 'QUEUED' else 'FAILED' end,
      lease_until = null,
      builder_id = case when l.again then null else b.builder_id end,
      start_time = case when l.again then null else b.start_time end,
      finish_time = case when l.again then null else now() end,
      failure_reason = case when l.again then null when l.retry then ${EXHAUSTED} else l.reason end,
      failure_message = case when l.again then null
        when l.retry then 'attempt ' || l.attempt || ' was the last: ' || l.message
        else l.message end,
      failure_exit_code = case when l.again then null else l.exit_code end,
      revision = b.revision + 1
    from (
      select f.*, f.retry and c.attempt < c.max_attempts as again
      from unnest($1::uuid[], $2::integer[], $3::text[], $4::boolean[], $5::integer[], $6::text[],
        $7::integer[]) with ordinality
        f(id, attempt, builder, retry, reason, message, exit_code, number)
      join builds c on c.id = f.id
    ) l
    where ${HOLDS} returning l.number::integer, b.status`,
};

/** $1 how many at most. */
export const RESCUE: Statement = {
  name: "slipway_rescue",
  text: `
    with lost as materialized (
      select id, start_time + run_limit_ms * interval '1 ms' < now() as late from builds
      where finish_time is null and status = 'RUNNING'
        and (lease_until < now() or start_time + run_limit_ms * interval '1 ms' < now())
      order by lease_until limit $1 for no key update skip locked
    )
    update builds b
    set status = case when l.late or b.attempt >= b.max_attempts then 'FAILED' else 'QUEUED' end,
      lease_until = null,
      builder_id = case when l.late or b.attempt >= b.max_attempts then b.builder_id end,
      start_time = case when l.late or b.attempt >= b.max_attempts then b.start_time end,
      finish_time = case when l.late or b.attempt >= b.max_attempts then now() end,
      failure_reason = case when l.late then ${DEADLINE}
        when b.attempt >= b.max_attempts then ${EXHAUSTED} end,
      failure_message = case
        when l.late then 'attempt ' || b.attempt || ' did not end within '
          || b.run_limit_ms / 1000 || ' s, fetching and uploading included'
        when b.attempt >= b.max_attempts then 'builder ' || b.builder_id
          || ' was lost in attempt ' || b.attempt || ' of ' || b.max_attempts end,
      revision = b.revision + 1
    from lost l where b.id = l.id returning b.id, b.status`,
};

/** $1 build ids. */
export const LEASE_STATES: Statement = {
  name: "slipway_lease_states",
  text: `
    select id, status, attempt, builder_id, failure_reason, artifact_digest from builds
    where id = any($1::uuid[])`,
};

export const BACKLOG: Statement = {
  name: "slipway_backlog",
  text: `
    select count(*) as count,
      extract(epoch from clock_timestamp() - min(create_time)) * 1000 as oldest_age_ms
    from builds where finish_time is null and status = 'QUEUED'`,
};
