import type { Migration } from "../migrate.js";

/** Additive: coordinators of the version before ask for no tokens. */
export const tokens: Migration = {
  name: "0007_tokens",
  async up(knex) {
    await knex.raw(`
      create table tokens (
        id text primary key,
        -- SHA-256 of the secret, which has 256 random bits: nothing slower is needed.
        secret_hash bytea not null check (length(secret_hash) = 32),
        name text not null,
        role text not null
          check (role in ('viewer', 'deployer', 'admin', 'builder', 'region', 'enrol')),
        applications text[] not null default '{}',
        region text not null default '',
        subject text not null default '',
        -- The rest of these is of enrolment.
        member_role text check (member_role in ('HOST', 'REGION', 'BUILDER')),
        max_uses integer not null default 0 check (max_uses >= 0),
        uses integer not null default 0,
        allow_rejoin boolean not null default false,
        creator text not null,
        create_time timestamptz not null default date_trunc('milliseconds', clock_timestamp()),
        expire_time timestamptz,
        revoke_time timestamptz,
        last_use_time timestamptz,
        check ((role = 'enrol') = (member_role is not null)),
        check (max_uses = 0 or uses <= max_uses)
      );
      create index tokens_by_time on tokens (create_time desc, id desc);
      alter table audit_entries add column token_id text;
    `);
  },
};
