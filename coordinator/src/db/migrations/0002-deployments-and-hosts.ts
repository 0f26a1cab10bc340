import type { Migration } from "../migrate.js";

export const deploymentsAndHosts: Migration = {
  name: "0002_deployments_and_hosts",
  async up(knex) {
    await knex.raw(`
      create table deployments (
        id uuid primary key,
        application text not null references applications (name),
        application_revision integer not null,
        build_id uuid not null references builds (id),
        generation bigint not null check (generation > 0),
        state text not null
          check (state in ('PENDING', 'RUNNING', 'SUCCEEDED', 'FAILED', 'SUPERSEDED')),
        failure_reason text check (failure_reason in ('HOSTS_FAILED', 'DEADLINE_EXCEEDED')),
        failure_message text,
        superseded_by uuid,
        is_rollback boolean not null,
        regions text[] not null,
        selector jsonb not null,
        -- A Release each, serialised: all that the goal needs, whatever happens to other rows.
        run_release bytea not null,
        previous_release bytea,
        previous_build_id uuid,
        creator text not null,
        reason text not null,
        idempotency_key text unique,
        -- What was asked for under the key: another request under the same key is refused.
        request text not null,
        create_time timestamptz not null default clock_timestamp(),
        start_time timestamptz,
        finish_time timestamptz,
        deadline timestamptz not null,
        revision bigint not null default 1,
        foreign key (application, application_revision)
          references application_revisions (application, revision),
        check ((state = 'FAILED') = (failure_reason is not null)),
        check ((state = 'SUPERSEDED') = (superseded_by is not null)),
        check ((state in ('SUCCEEDED', 'FAILED', 'SUPERSEDED')) = (finish_time is not null)),
        check (state not in ('RUNNING', 'SUCCEEDED') or start_time is not null)
      );
      -- Also how the newest of an application is found.
      create unique index deployments_generation on deployments (application, generation desc);
      -- At most one that is not final, whoever creates them.
      create unique index deployments_active on deployments (application)
        where state in ('PENDING', 'RUNNING');
      create index deployments_succeeded on deployments (application, generation desc)
        where state = 'SUCCEEDED';
      -- Newest first; ids are UUIDs of version 7.
      create index deployments_by_application on deployments (application, id desc);
      create index deployments_by_build on deployments (build_id);

      -- Which hosts there are: what deployments count against.
      create table hosts (
        host_id text primary key,
        region text not null,
        cell text not null,
        labels jsonb not null,
        enrol_time timestamptz not null default clock_timestamp(),
        update_time timestamptz not null default clock_timestamp()
      );
      create index hosts_by_region on hosts (region, host_id);
      create index hosts_by_label on hosts using gin (labels jsonb_path_ops);

      -- Whether the rows of the replication database were made. It is another database, so this
      -- flag is what makes sure that no succeeded build is forgotten between the two.
      alter table builds add column replication_planned boolean not null default false;
      create index builds_replication_unplanned on builds (finish_time)
        where status = 'SUCCEEDED' and not replication_planned;
    `);
  },
};
