import type { AuditEntry } from "@slipway/proto";
import type { Knex } from "knex";

/** What is taken; undefined for everything. */
export interface AuditFilter {
  application?: string | undefined;
  deploymentId?: string | undefined;
  actor?: string | undefined;
  /** A whole action, or the part before its dot. */
  action?: string | undefined;
  after?: Date | undefined;
  before?: Date | undefined;
  /** Where the page before ended. */
  position?: AuditPosition | undefined;
}

export interface AuditPosition {
  time: Date;
  id: string;
}

interface AuditRow {
  id: string;
  time: Date;
  actor: string;
  action: string;
  reason: string;
  application: string | null;
  deployment_id: string | null;
  build_id: string | null;
  region: string | null;
  host_id: string | null;
  message: string;
  token_id: string | null;
}

/** Newest first. */
export async function listAudit(
  db: Knex,
  filter: AuditFilter,
  limit: number,
): Promise<AuditEntry[]> {
  const query = db<AuditRow>("audit_entries")
    .orderBy([
      { column: "time", order: "desc" },
      { column: "id", order: "desc" },
    ])
    .limit(limit);
  const { application, deploymentId, actor, action, after, before, position } = filter;
  if (application !== undefined) void query.where({ application });
  if (deploymentId !== undefined) void query.where({ deployment_id: deploymentId });
  if (actor !== undefined) void query.where({ actor });
  if (action !== undefined) void query.where(action.includes(".") ? "action" : "area", action);
  if (after !== undefined) void query.where("time", ">=", after);
  if (before !== undefined) void query.where("time", "<", before);
  if (position !== undefined) {
    void query.whereRaw("(time, id) < (?, ?)", [position.time, position.id]);
  }
  const rows: AuditRow[] = await query;
  return rows.map((row) => ({
    id: row.id,
    time: row.time,
    actor: row.actor,
    action: row.action,
    reason: row.reason,
    application: row.application ?? "",
    deploymentId: row.deployment_id ?? "",
    buildId: row.build_id ?? "",
    region: row.region ?? "",
    hostId: row.host_id ?? "",
    message: row.message,
    tokenId: row.token_id ?? "",
  }));
}
