import type { Migration } from "../migrate.js";

/** Additive: coordinators of the version before keep running beside new ones. */
export const heldDeployments: Migration = {
  name: "0012_held_deployments",
  async up(knex) {
    await knex.raw(`
      alter table deployments
        -- Since when what blocks it counts towards no deadline.
        add column held_time timestamptz,
        -- {hosts, regions}: the silence that somebody resumed it in spite of; "present" until counted.
        add column accepted_silence jsonb;
    `);
  },
};
