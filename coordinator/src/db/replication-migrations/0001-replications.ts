import type { Migration } from "../migrate.js";

export const replications: Migration = {
  name: "0001_replications",
  async up(knex) {
    await knex.raw(`
      create table replications (
        artifact_digest text not null,
        region text not null,
        state text not null check (state in ('PENDING', 'COPYING', 'COMPLETE', 'FAILED')),
        bytes_copied bigint not null default 0,
        size_bytes bigint not null,
        message text not null default '',
        -- Failures in a row: how long the next offer waits.
        failures integer not null default 0,
        -- Rises whenever the region is to be told of the artifact (again).
        offer bigint not null default 1,
        -- When that offer is due. At first: when the build finished.
        offer_time timestamptz not null,
        create_time timestamptz not null default clock_timestamp(),
        -- When the state or the bytes last changed.
        update_time timestamptz not null default clock_timestamp(),
        -- When the region last said anything of it.
        check_time timestamptz,
        primary key (artifact_digest, region)
      );
      create index replications_unfinished on replications (region, offer_time, artifact_digest)
        where state <> 'COMPLETE';
    `);
  },
};
