import type { ApplyWarning } from "@slipway/proto";
import type { Knex } from "knex";
import type { Context } from "../context.js";
import { similarNames } from "./similar-names.js";

/** Known regions that are named of each unknown one. */
const MAX_SIMILAR = 3;

/**
 * Regions that nobody ever had: no host enrolled there, no agent joined or was heard of, and no token was
 * made for it. To declare one before it exists is right; to misspell one leaves a build waiting for ever.
 */
export async function unknownRegions(
  { db, status }: Pick<Context, "db" | "status">,
  regions: readonly string[],
): Promise<ApplyWarning[]> {
  const heard = new Set(status.regions());
  const unheard = regions.filter((region) => !heard.has(region));
  const named = new Set(await namedAmong(db, unheard));
  const unknown = unheard.filter((region) => !named.has(region));
  if (unknown.length === 0) return [];
  const known = new Set([...heard, ...(await everNamed(db))]);
  return unknown.map((region) => {
    const similarRegions = similarNames(region, known, MAX_SIMILAR);
    const message = describe(region, similarRegions);
    return { field: `spec.regions[${regions.indexOf(region)}]`, region, similarRegions, message };
  });
}

/** A look-up for each: all hosts are read only to say what an unknown one may have been meant to be. */
async function namedAmong(db: Knex, regions: readonly string[]): Promise<string[]> {
  if (regions.length === 0) return [];
  const { rows }: { rows: { region: string }[] } = await db.raw(
    `select region from unnest(?::text[]) as asked (region)
     where exists (select from hosts where hosts.region = asked.region)
       or exists (select from members where members.region = asked.region)
       or exists (select from tokens where tokens.region = asked.region)`,
    [[...regions]],
  );
  return rows.map(({ region }) => region);
}

async function everNamed(db: Knex): Promise<string[]> {
  const { rows }: { rows: { region: string }[] } = await db.raw(
    `select region from hosts
     union select region from members where region <> ''
     union select region from tokens where region <> ''`,
  );
  return rows.map(({ region }) => region);
}

function describe(region: string, similar: readonly string[]): string {
  const meant = similar.length === 0 ? "" : ` (known and like it: ${similar.join(", ")})`;
  return (
    `region ${region} is not known: no agent, host or token of it was ever there${meant}; builds become ` +
    "deployable once its region agent has copied them"
  );
}
