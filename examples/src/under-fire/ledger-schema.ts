/**
 * Written by Postgres in the transaction of each change, so that what was accepted is known whatever
 * the coordinators say of it.
 */
export const LEDGER_SCHEMA = `
  create schema under_fire;
  create table under_fire.build_changes (
    seq bigserial primary key, id uuid not null, status text not null, attempt integer not null,
    artifact_digest text);
  create table under_fire.deployment_changes (
    seq bigserial primary key, id uuid not null, time timestamptz not null, state text not null,
    limits jsonb not null, step integer not null, phase text not null, regions jsonb not null,
    promoted_step integer not null, pause_reason text);
  create table under_fire.operations (
    seq bigserial primary key, action text not null, subject text not null);

  create function under_fire.note_build() returns trigger language plpgsql as $$ begin
    insert into under_fire.build_changes (id, status, attempt, artifact_digest)
      values (new.id, new.status, new.attempt, new.artifact_digest);
    return null;
  end $$;
  create function under_fire.note_deployment() returns trigger language plpgsql as $$ begin
    insert into under_fire.deployment_changes
      (id, time, state, limits, step, phase, regions, promoted_step, pause_reason)
      values (new.id, clock_timestamp(), new.state, coalesce(new.limits, '{}'), new.step,
        new.step_phase, coalesce(new.steps->(new.step - 1)->'regions', '[]'), new.promoted_step,
        new.pause_reason);
    return null;
  end $$;
  create function under_fire.note_application() returns trigger language plpgsql as $$ begin
    insert into under_fire.operations (action, subject) values (
      case when new.remove_time is null then 'application.apply' else 'application.remove' end,
      new.name);
    return null;
  end $$;
  create function under_fire.note_freeze() returns trigger language plpgsql as $$ begin
    insert into under_fire.operations (action, subject) values (
      case when new.end_time is null then 'freeze.create' else 'freeze.end' end,
      coalesce(new.application, new.region));
    return null;
  end $$;
  create function under_fire.note_host() returns trigger language plpgsql as $$ begin
    insert into under_fire.operations (action, subject) values ('host.decommission', new.host_id);
    return null;
  end $$;

  create trigger under_fire after insert on builds for each row
    execute function under_fire.note_build();
  create trigger under_fire_changes after update on builds for each row
    when ((old.status, old.attempt, old.artifact_digest)
      is distinct from (new.status, new.attempt, new.artifact_digest))
    execute function under_fire.note_build();
  create trigger under_fire after insert or update on deployments for each row
    execute function under_fire.note_deployment();
  create trigger under_fire after insert on applications for each row
    execute function under_fire.note_application();
  create trigger under_fire_changes after update on applications for each row
    when ((old.revision, old.remove_time) is distinct from (new.revision, new.remove_time))
    execute function under_fire.note_application();
  create trigger under_fire after insert on freezes for each row
    execute function under_fire.note_freeze();
  create trigger under_fire_changes after update on freezes for each row
    when (old.end_time is distinct from new.end_time)
    execute function under_fire.note_freeze();
  create trigger under_fire after update on hosts for each row
    when (old.decommission_time is distinct from new.decommission_time)
    execute function under_fire.note_host();
`;
