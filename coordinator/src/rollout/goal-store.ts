import type { Knex } from "knex";
import type { AnyGoalSource, RemovalSource } from "../goal/goal.js";
import { fromRow, type DeploymentRow } from "./deployment.js";

interface RemovalRow {
  name: string;
  removal_generation: string | null;
  removal_id: string | null;
  removal_regions: string[] | null;
}

/** The goal that an application has by the database; undefined if it never had one. */
export async function newestGoal(
  db: Knex,
  application: string,
): Promise<AnyGoalSource | undefined> {
  const [goal] = await goals(db, (query) => void query.where("a.name", application));
  return goal;
}

/** A page of applications' goals, by name. Those that never had one are left out. */
export async function pageOfGoals(
  db: Knex,
  { after, limit }: { after: string; limit: number },
): Promise<AnyGoalSource[]> {
  return goals(db, (query) => void query.where("a.name", ">", after).limit(limit));
}

/** Those of the names that are of applications which have, or had, a goal. */
export async function namesWithGoals(
  db: Knex,
  names: readonly string[],
): Promise<ReadonlySet<string>> {
  const rows = (await db("applications as a")
    .whereRaw("a.name = any(?)", [[...names]])
    .whereRaw(
      `(a.removal_generation is not null
        or exists (select 1 from deployments d where d.application = a.name))`,
    )
    .select("a.name")) as { name: string }[];
  return new Set(rows.map(({ name }) => name));
}

/** Of each application the newest deployment's goal, or its removal's if that is newer. */
async function goals(
  db: Knex,
  restrict: (query: Knex.QueryBuilder) => void,
): Promise<AnyGoalSource[]> {
  const query = db
    .from(
      // One index look-up an application, however many deployments it has had.
      db.raw(
        `applications a left join lateral (
           select * from deployments d
           where d.application = a.name order by d.generation desc limit 1) d on true`,
      ),
    )
    .whereRaw("(d.id is not null or a.removal_generation is not null)")
    .orderBy("a.name")
    .select("d.*", "a.name", "a.removal_generation", "a.removal_id", "a.removal_regions")
    .modify(restrict);
  return ((await query) as (DeploymentRow & RemovalRow)[]).map(goalOf);
}

function goalOf(row: DeploymentRow & RemovalRow): AnyGoalSource {
  const removal = removalOf(row);
  const newest = (row.id as string | null) === null ? undefined : fromRow(row).goal;
  if (newest === undefined || newest.generation < (removal?.generation ?? 0)) {
    if (removal === undefined) throw new Error(`application ${row.name} has no goal`);
    return removal;
  }
  return newest;
}

function removalOf(row: RemovalRow): RemovalSource | undefined {
  if (row.removal_generation === null || row.removal_id === null) return undefined;
  return {
    application: row.name,
    generation: Number(row.removal_generation),
    deploymentId: row.removal_id,
    regions: row.removal_regions ?? [],
    removed: true,
  };
}
