import type { Migration } from "../migrate.js";

/** Additive: coordinators of the version before keep running beside new ones. */
export const missedSuccesses: Migration = {
  name: "0014_missed_successes",
  async up(knex) {
    await knex.raw(`
      alter table deployments
        -- Of the deployment that succeeded with the previous release; null if there is none, or not known.
        add column previous_generation bigint;
    `);
  },
};
