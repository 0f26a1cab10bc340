import type { Migration } from "../migrate.js";

/**
 * Additive: coordinators of the version before keep running beside new ones. What their deployments
 * drop is found again by the next one's.
 */
export const droppedRegions: Migration = {
  name: "0005_dropped_regions",
  async up(knex) {
    await knex.raw(`
      alter table deployments
        -- Of earlier deployments: hosts there are told to forget it once this one has succeeded.
        add column dropped_regions text[] not null default '{}',
        -- Where hosts were told before this one: they are told again from its beginning.
        add column gone_regions text[] not null default '{}';
    `);
  },
};
