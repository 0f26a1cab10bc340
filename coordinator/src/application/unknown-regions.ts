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
  const known = new Set([...(await everNamed(db)), ...status.regions()]);
  return regions.flatMap((region, index) => {
    if (known.has(region)) return [];
    const similarRegions = similarNames(region, known, MAX_SIMILAR);
    const message = describe(region, similarRegions);
    return { field: `spec.regions[${index}]`, region, similarRegions, message };
  });
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
