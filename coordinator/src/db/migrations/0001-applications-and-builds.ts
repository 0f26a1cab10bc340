import type { Migration } from "../migrate.js";

export const applicationsAndBuilds: Migration = {
  name: "0001_applications_and_builds",
  async up(knex) {
    await knex.raw(`
      create table applications (
        name text primary key,
        revision integer not null check (revision > 0),
        update_time timestamptz not null default now()
      );

      -- Every revision that ever was: builds and deployments name the one they used.
      create table application_revisions (
        application text not null references applications (name),
        revision integer not null check (revision > 0),
        -- An ApplicationSpec, serialised.
        spec bytea not null,
        -- Of the spec, for statements that have no use for the rest.
        regions text[] not null,
        max_attempts integer not null check (max_attempts > 0),
        -- How long one attempt may take in all, fetching and uploading included.
        run_limit_ms bigint not null check (run_limit_ms > 0),
        create_time timestamptz not null default now(),
        primary key (application, revision)
      );

      create table builds (
        id uuid primary key,
        application text not null,
        application_revision integer not null,
        commit_sha text not null,
        status text not null check (status in ('QUEUED', 'RUNNING', 'SUCCEEDED', 'FAILED')),
        attempt integer not null default 0,
        max_attempts integer not null check (max_attempts > 0),
        run_limit_ms bigint not null check (run_limit_ms > 0),
        builder_id text,
        lease_until timestamptz,
        artifact_digest text,
        artifact_size_bytes bigint,
        artifact_chunk_count integer,
        artifact_platform text,
        failure_reason integer,
        failure_message text,
        failure_exit_code integer,
        create_time timestamptz not null default clock_timestamp(),
        start_time timestamptz,
        finish_time timestamptz,
        revision bigint not null default 1,
        foreign key (application, application_revision)
          references application_revisions (application, revision),
        check ((status = 'RUNNING') = (lease_until is not null)),
        check ((status = 'SUCCEEDED') = (artifact_digest is not null)),
        check ((status = 'FAILED') = (failure_reason is not null)),
        check ((status in ('SUCCEEDED', 'FAILED')) = (finish_time is not null))
      );
      -- One index a status, so that finished builds cost the queue nothing.
      create index builds_queued on builds (create_time, id) where status = 'QUEUED';
      create index builds_running on builds (lease_until) where status = 'RUNNING';
      create unique index builds_merge on builds (application, application_revision, commit_sha)
        where status in ('QUEUED', 'RUNNING');
      -- Newest first; ids are UUIDs of version 7.
      create index builds_by_application on builds (application, id desc);
      create index builds_by_commit on builds (commit_sha, id desc);
      create index builds_by_artifact on builds (artifact_digest) where artifact_digest is not null;

      create table build_submissions (
        id uuid primary key,
        build_id uuid not null references builds (id),
        idempotency_key text unique,
        submitter text not null,
        create_time timestamptz not null default clock_timestamp(),
        detach_time timestamptz
      );
      create index build_submissions_by_build on build_submissions (build_id, id);
    `);
  },
};
