import type { Migration } from "../migrate.js";

/** Additive: coordinators of the version before keep running beside new ones, and write nothing here. */
export const connectedBuilders: Migration = {
  name: "0013_connected_builders",
  async up(knex) {
    await knex.raw(`
      -- Which builder has a stream to which coordinator, as that one said last.
      create table connected_builders (
        coordinator_id uuid not null,
        builder_id text not null,
        connected boolean not null,
        seen_time timestamptz not null default clock_timestamp(),
        primary key (coordinator_id, builder_id)
      );
      create index connected_builders_seen on connected_builders (seen_time);
    `);
  },
};
