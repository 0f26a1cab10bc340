import type { Migration } from "../migrate.js";

/** Additive: coordinators of the version before take builds without what was signed of them. */
export const provenance: Migration = {
  name: "0010_provenance",
  async up(knex) {
    await knex.raw(`
      create table build_provenances (
        -- Written in the transaction that ends the build, so that no foreign key has to look again.
        build_id uuid primary key,
        builder_id text not null,
        -- A serialised SignedProvenance, as the builder sent it.
        signed bytea not null check (length(signed) <= 65536),
        -- Of the builder's key.
        key_id text not null,
        -- Of the membership key that signed the builder's certificate; none if that was not checked.
        membership_key_id text,
        create_time timestamptz not null default now()
      );
    `);
  },
};
