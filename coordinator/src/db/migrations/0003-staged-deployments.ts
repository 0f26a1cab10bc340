import type { Migration } from "../migrate.js";

/**
 * Additive: coordinators of the version before keep running beside new ones. The rows that they make
 * have no strategy and no limits, which means all hosts at once.
 */
export const stagedDeployments: Migration = {
  name: "0003_staged_deployments",
  async up(knex) {
    await knex.raw(`
      alter table deployments
        -- A Strategy with nothing left out, and its DeploymentSteps.
        add column strategy jsonb,
        add column steps jsonb,
        add column step integer not null default 1 check (step > 0),
        add column step_phase text not null default 'STAGING'
          check (step_phase in ('STAGING', 'SWITCHING', 'BAKING')),
        add column step_phase_time timestamptz not null default clock_timestamp(),
        -- By region: of 10,000 buckets of hosts, how many were told to switch. They never fall.
        add column limits jsonb,
        -- When one last rose, or could rise again after it could not.
        add column raise_time timestamptz not null default clock_timestamp(),
        add column pause_reason text
          check (pause_reason in ('REQUESTED', 'HOSTS_SILENT', 'REGION_SILENT')),
        add column pause_message text not null default '',
        add column pause_actor text not null default '',
        add column pause_time timestamptz,
        -- The last step that somebody let begin.
        add column promoted_step integer not null default 0,
        add column rolled_back_by uuid,
        add column blocked_by text not null default '',
        -- Freezes do not hold it.
        add column override_freeze boolean not null default false,
        add check ((strategy is null) = (steps is null)),
        add check ((strategy is null) = (limits is null)),
        add check ((state = 'PAUSED') = (pause_reason is not null)),
        add check ((pause_reason is null) = (pause_time is null));

      alter table deployments drop constraint deployments_state_check;
      alter table deployments add constraint deployments_state_check
        check (state in ('PENDING', 'RUNNING', 'WAITING', 'PAUSED', 'SUCCEEDED', 'FAILED',
          'SUPERSEDED', 'ABORTED'));

      -- The one of 0002 that ties final states to finish_time: by what it says, since Postgres
      -- named it by its place.
      do $$
      declare found text;
      begin
        select conname into strict found from pg_constraint
          where conrelid = 'deployments'::regclass and contype = 'c'
            and pg_get_constraintdef(oid) like '%finish_time IS NOT NULL%';
        execute format('alter table deployments drop constraint %I', found);
      end $$;
      alter table deployments add constraint deployments_finish_time_check
        check ((state in ('SUCCEEDED', 'FAILED', 'SUPERSEDED', 'ABORTED'))
          = (finish_time is not null));

      -- At most one that is not final, whoever creates them; never without an index that says so.
      create unique index deployments_unfinished on deployments (application)
        where state in ('PENDING', 'RUNNING', 'WAITING', 'PAUSED');
      drop index deployments_active;
      alter index deployments_unfinished rename to deployments_active;
    `);
  },
};
