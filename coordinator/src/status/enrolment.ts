import type { EnrolledHost } from "@slipway/proto";
import type { Knex } from "knex";
import { writeAudit, type Author } from "../audit/audit-log.js";
import { notFound } from "../errors.js";

interface HostRow {
  host_id: string;
  region: string;
  cell: string;
  labels: Record<string, string>;
  enrol_time: Date;
  decommission_time: Date | null;
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

/**
 * Writes hosts that are new or differ; the same again costs no write. No host may be there twice.
 * Answers those that were left out, because they have been decommissioned under their id.
 */
export async function enrolHosts(db: Knex, hosts: readonly EnrolledHost[]): Promise<string[]> {
  if (hosts.length === 0) return [];
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
    .whereNull("hosts.decommission_time")
    .whereRaw(
      "(hosts.region, hosts.cell, hosts.labels) is distinct from " +
        "(excluded.region, excluded.cell, excluded.labels)",
    );
  const refused: { host_id: string }[] = await db("hosts")
    .whereIn(
      "host_id",
      hosts.map(({ hostId }) => hostId),
    )
    .whereNotNull("decommission_time")
    .orderBy("host_id")
    .select("host_id");
  return refused.map(({ host_id: hostId }) => hostId);
}

/**
 * Ids of those hosts that another region has: of which its membership says so or, where it has none
 * that holds, the enrolment that is there.
 */
export async function hostsOfOtherRegions(
  db: Knex,
  hosts: readonly EnrolledHost[],
): Promise<ReadonlySet<string>> {
  const asked = hosts.map(({ hostId, region }) => ({ id: hostId, region }));
  const { rows }: { rows: { id: string }[] } = await db.raw(
    `select asked.id
     from jsonb_to_recordset(?::jsonb) as asked (id text, region text)
     left join members on members.id = asked.id and members.role = 'HOST'
       and members.revoke_time is null and members.release_time is null
     left join hosts on hosts.host_id = asked.id and hosts.decommission_time is null
     where coalesce(members.region, hosts.region) <> asked.region`,
    [JSON.stringify(asked)],
  );
  return new Set(rows.map(({ id }) => id));
}

/** A host that is in the fleet; undefined if there is none of that id. */
export async function findHost(db: Knex, hostId: string): Promise<StoredHost | undefined> {
  const row = await inFleet(db).where({ host_id: hostId }).first();
  return row && fromRow(row);
}

/**
 * Takes a host out of the fleet for good, with its certificate, if it has joined for one. Answers
 * whether it was in it: the same again changes nothing. @throws DomainError NOT_FOUND
 */
export function decommissionHost(
  db: Knex,
  hostId: string,
  by: Author,
  revokeCertificate: (trx: Knex.Transaction, id: string) => Promise<unknown>,
): Promise<boolean> {
  return db.transaction(async (trx) => {
    const host = await decommissionInFleet(trx, hostId);
    if (host === undefined) {
      const known: unknown = await trx("hosts").where({ host_id: hostId }).first("host_id");
      if (known === undefined) throw notFound("host", hostId);
      return false;
    }
    await revokeCertificate(trx, hostId);
    const { region } = host;
    const message = `host ${hostId} of region ${region} taken out of the fleet for good`;
    await writeAudit(trx, { ...by, action: "host.decommission", region, hostId, message });
    return true;
  });
}

/** In a transaction; undefined if no host of that id is in the fleet. */
export async function decommissionInFleet(
  trx: Knex.Transaction,
  hostId: string,
): Promise<{ region: string } | undefined> {
  const [row] = await inFleet(trx)
    .where({ host_id: hostId })
    .update({ decommission_time: trx.raw("clock_timestamp()") })
    .returning("*");
  return row;
}

/** A page of hosts by region and id. */
export async function listHosts(
  db: Knex,
  filter: { region?: string; selection?: HostSelection; after?: HostPosition; limit: number },
): Promise<StoredHost[]> {
  const query = inFleet(db).orderBy(["region", "host_id"]).limit(filter.limit);
  const { region, selection, after } = filter;
  if (region !== undefined) void query.where({ region });
  if (selection !== undefined) void query.modify(select, selection);
  if (after !== undefined) {
    void query.whereRaw("(region, host_id) > (?, ?)", [after.region, after.hostId]);
  }
  return (await query).map(fromRow);
}

/** How many hosts there are, by region; of a selection, if given. */
export async function countHosts(
  db: Knex,
  selection?: HostSelection,
): Promise<ReadonlyMap<string, number>> {
  const query = inFleet(db).select("region").count("* as hosts").groupBy("region");
  if (selection !== undefined) void query.modify(select, selection);
  const rows = (await query) as unknown as { region: string; hosts: string }[];
  return new Map(rows.map(({ region, hosts }) => [region, Number(hosts)]));
}

/** Whether the selection takes any host. */
export async function anyHost(db: Knex, selection: HostSelection): Promise<boolean> {
  const found: unknown = await inFleet(db).modify(select, selection).first("host_id");
  return found !== undefined;
}

/** Without those that were decommissioned. */
function inFleet(db: Knex): Knex.QueryBuilder<HostRow, HostRow[]> {
  return db<HostRow>("hosts").whereNull("decommission_time");
}

function fromRow(row: HostRow): StoredHost {
  const { host_id: hostId, region, cell, labels, enrol_time: enrolTime } = row;
  return { host: { hostId, region, cell, labels }, enrolTime };
}

function select(query: Knex.QueryBuilder, { regions, selector }: HostSelection): void {
  void query.whereIn("region", [...regions]);
  if (Object.keys(selector).length > 0) {
    void query.whereRaw("labels @> ?::jsonb", [JSON.stringify(selector)]);
  }
}
