import type { Knex } from "knex";

/**
 * What is in every table of a database, as a digest by name, and how all of them are made. Not who is
 * connected, which is written again and again by itself.
 */
export async function tableContents(db: Knex): Promise<Record<string, string>> {
  const { rows: columns }: { rows: { table: string; columns: string }[] } = await db.raw(
    `select relname as table, string_agg(attname || ' ' || atttypid, ',' order by attnum) as columns
     from pg_class join pg_attribute on attrelid = pg_class.oid
     where relnamespace = 'public'::regnamespace and relkind = 'r' and attnum > 0
       and relname <> 'connected_builders'
     group by relname order by relname`,
  );
  const selects = columns.map(
    ({ table }) =>
      `select '${table}' as name, md5(string_agg(md5(t::text), '' order by md5(t::text))) as contents
       from "${table}" t`,
  );
  const { rows }: { rows: { name: string; contents: string | null }[] } = await db.raw(
    selects.join(" union all "),
  );
  const contents = rows.map(({ name, contents: digest }) => [name, digest ?? ""]);
  return Object.fromEntries([...contents, ["(columns)", JSON.stringify(columns)]]);
}

/** The same as before if nothing was written meanwhile, in any database of the server. */
export async function lastWrite(db: Knex): Promise<string> {
  const { rows }: { rows: { xid: string }[] } = await db.raw(
    "select pg_snapshot_xmax(pg_current_snapshot())::text as xid",
  );
  return rows[0]?.xid ?? "";
}
