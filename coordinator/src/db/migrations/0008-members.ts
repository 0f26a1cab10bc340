import type { Migration } from "../migrate.js";

/** Additive: coordinators of the version before know of no members, and revoke hosts all the same. */
export const members: Migration = {
  name: "0008_members",
  async up(knex) {
    await knex.raw(`
      create table members (
        id text primary key,
        -- None, and no key, for an id that was revoked without having joined.
        role text check (role in ('HOST', 'REGION', 'BUILDER')),
        -- Empty for builders.
        region text not null default '',
        public_key bytea unique check (length(public_key) = 32),
        nats_public_key text not null default '',
        -- Of the token that it joined with.
        token_id text,
        join_time timestamptz,
        -- Of the last certificate.
        renew_time timestamptz,
        expire_time timestamptz,
        -- That the last renewal named: no other one may name it, or an earlier one.
        claim_time timestamptz,
        revoke_time timestamptz,
        -- When it was said that another key may join under the id.
        release_time timestamptz,
        check ((role is null) = (public_key is null)),
        check ((role is null) = (expire_time is null)),
        check (role is not null or revoke_time is not null)
      );
      create index members_by_region on members (region, id);
      create index members_revoked on members (revoke_time desc, id) where revoke_time is not null;
    `);
  },
};
