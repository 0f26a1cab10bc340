import type { EnrolledHost } from "@slipway/proto";
import type { Knex } from "knex";

interface HostRow {
  host_id: string;
  region: string;
  cell: string;
  labels: Record<string, string>;
  enrol_time: Date;
}

/** A host as it was enrolled. */
export interface StoredHost {
  host: EnrolledHost;
  enrolTime: Date;
}

/** Which hosts an application's selector takes. */
export interface HostSelection {
  regions: readonly string[];
  selector: Readonly<Record<string, string>>;
}

/** Where a page starts: after this host. */
export interface HostPosition {
  region: string;
  hostId: string;
}

/** Writes hosts that are new or differ; the same again costs no write. No host may be there twice. */
export async function enrolHosts(db: Knex, hosts: readonly EnrolledHost[]): Promise<void> {
  if (hosts.length === 0) return;
  // In one order everywhere, so that two agents of a region can't deadlock.
  const rows = [...hosts]
    .sort((a, b) => (a.hostId < b.hostId ? -1 : 1))
    .map(({ hostId, region, cell, labels }) => ({
      host_id: hostId,
      region,
      cell,
      labels: JSON.stringify(labels),
    }));
  await db("hosts")
    .insert(rows)
    .onConflict("host_id")
    .merge({
      region: db.raw("excluded.region"),
      cell: db.raw("excluded.cell"),
      labels: db.raw("excluded.labels"),
      update_time: db.raw("clock_timestamp()"),
    })
    .whereRaw(
      "(hosts.region, hosts.cell, hosts.labels) is distinct from " +
        "(excluded.region, excluded.cell, excluded.labels)",
    );
}

/** A page of hosts by region and id. */
export async function listHosts(
  db: Knex,
  filter: { region?: string; selection?: HostSelection; after?: HostPosition; limit: number },
): Promise<StoredHost[]> {
  const query = db<HostRow>("hosts").orderBy(["region", "host_id"]).limit(filter.limit);
  const { region, selection, after } = filter;
  if (region !== undefined) void query.where({ region });
  if (selection !== undefined) void query.modify(select, selection);
  if (after !== undefined) {
    void query.whereRaw("(region, host_id) > (?, ?)", [after.region, after.hostId]);
  }
  const rows: HostRow[] = await query;
  return rows.map(({ host_id: hostId, region, cell, labels, enrol_time: enrolTime }) => ({
    host: { hostId, region, cell, labels },
    enrolTime,
  }));
}

/** How many hosts there are, by region; of a selection, if given. */
export async function countHosts(
  db: Knex,
  selection?: HostSelection,
): Promise<ReadonlyMap<string, number>> {
  const query = db("hosts").select("region").count("* as hosts").groupBy("region");
  if (selection !== undefined) void query.modify(select, selection);
  const rows = (await query) as { region: string; hosts: string }[];
  return new Map(rows.map(({ region, hosts }) => [region, Number(hosts)]));
}

/** Whether the selection takes any host. */
export async function anyHost(db: Knex, selection: HostSelection): Promise<boolean> {
  const found: unknown = await db("hosts").modify(select, selection).first("host_id");
  return found !== undefined;
}

function select(query: Knex.QueryBuilder, { regions, selector }: HostSelection): void {
  void query.whereIn("region", [...regions]);
  if (Object.keys(selector).length > 0) {
    void query.whereRaw("labels @> ?::jsonb", [JSON.stringify(selector)]);
  }
}
