import type { Migration } from "../migrate.js";

export const operations: Migration = {
  name: "0004_operations",
  async up(knex) {
    await knex.raw(`
      create table audit_entries (
        id uuid primary key,
        -- In milliseconds, as pages are told apart by it.
        time timestamptz not null default date_trunc('milliseconds', clock_timestamp()),
        actor text not null,
        action text not null,
        -- The part of the action before its dot.
        area text not null generated always as (split_part(action, '.', 1)) stored,
        reason text not null,
        application text,
        deployment_id uuid,
        build_id uuid,
        region text,
        host_id text,
        message text not null
      );
      -- Newest first, whatever it is filtered by.
      create index audit_entries_by_time on audit_entries (time desc, id desc);
      create index audit_entries_by_actor on audit_entries (actor, time desc, id desc);
      create index audit_entries_by_action on audit_entries (action, time desc, id desc);
      create index audit_entries_by_area on audit_entries (area, time desc, id desc);
      create index audit_entries_by_application on audit_entries (application, time desc, id desc)
        where application is not null;
      create index audit_entries_by_deployment on audit_entries (deployment_id, time desc, id desc)
        where deployment_id is not null;

      create table freezes (
        id uuid primary key,
        application text references applications (name),
        region text,
        actor text not null,
        reason text not null,
        create_time timestamptz not null default clock_timestamp(),
        expire_time timestamptz not null,
        -- When somebody ended it before its time.
        end_time timestamptz,
        check ((application is null) <> (region is null))
      );
      -- Those in force, and with them a few that have expired.
      create index freezes_by_expiry on freezes (expire_time) where end_time is null;

      -- What hooks are to be sent, one row a hook: written with what it tells of, sent afterwards.
      create table notifications (
        id uuid primary key,
        application text not null,
        deployment_id uuid not null,
        url text not null,
        -- JSON, exactly as it is sent.
        body text not null,
        state text not null default 'PENDING' check (state in ('PENDING', 'DELIVERED', 'GIVEN_UP')),
        attempts integer not null default 0,
        -- Of the last attempt.
        failure text not null default '',
        -- When it is tried next; while it is tried, when another coordinator may.
        next_time timestamptz not null default clock_timestamp(),
        create_time timestamptz not null default clock_timestamp(),
        finish_time timestamptz,
        check ((state = 'PENDING') = (finish_time is null))
      );
      create index notifications_due on notifications (next_time) where state = 'PENDING';
      create index notifications_finished on notifications (finish_time) where state <> 'PENDING';

      alter table applications
        add column remove_time timestamptz,
        -- Of the goal that tells hosts to forget it; kept when the application comes back, since
        -- no later generation may be below it.
        add column removal_generation bigint,
        add column removal_id uuid,
        -- Every region that ever had a goal of it.
        add column removal_regions text[],
        add check (remove_time is null or removal_generation is null or
          (removal_id is not null and removal_regions is not null));

      alter table hosts add column decommission_time timestamptz;
      create index hosts_decommissioned on hosts (host_id) where decommission_time is not null;
    `);
  },
};
