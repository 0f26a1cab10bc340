import type { Knex } from "knex";

/** Regions that an application's earlier deployments had, and a new one has not. */
export interface DroppedRegions {
  /** Their hosts may run something: they are told to forget it once the new one has succeeded. */
  dropped: string[];
  /** Their hosts were told before; they are told again at once, since some may not have heard. */
  gone: string[];
}

/**
 * Finds them, by every deployment that there was: also what no host was told to switch to has its
 * regions' new hosts run the release before it.
 */
export async function findDropped(
  db: Knex,
  application: string,
  regions: readonly string[],
): Promise<DroppedRegions> {
  const { rows }: { rows: { region: string; gone: boolean }[] } = await db.raw(
    `with told as (
       select generation, dropped_regions || gone_regions as regions from deployments
         where application = :application and state = 'SUCCEEDED'
       union all
       select removal_generation, removal_regions from applications
         where name = :application and removal_generation is not null
       order by generation desc limit 1),
     had as (
       select region, max(generation) as newest from deployments, unnest(regions) as region
         where application = :application group by region)
     select region,
       coalesce(region = any (told.regions) and newest < told.generation, false) as gone
       from had left join told on true
       where region <> all (:regions::text[]) order by region`,
    { application, regions: [...regions] },
  );
  const those = (gone: boolean): string[] =>
    rows.filter((row) => row.gone === gone).map(({ region }) => region);
  return { dropped: those(false), gone: those(true) };
}
