import type { Knex } from "knex";
import type { Session, Statement } from "../db/connection.js";
import { uuidv7 } from "../uuid.js";

/** Who does something, and why. */
export interface Author {
  /** "slipway" for what the coordinator does by itself; empty if nobody said. */
  actor: string;
  reason: string;
  /** Of the token that it is done with; empty without one. */
  tokenId?: string | undefined;
}

/** Who did what to what, and why. */
export interface AuditRecord {
  actor: string;
  tokenId?: string | undefined;
  /** Such as "deployment.pause": what it was done to, a dot, what was done. */
  action: string;
  /** Why, as it was given. */
  reason?: string | undefined;
  application?: string | undefined;
  deploymentId?: string | undefined;
  buildId?: string | undefined;
  region?: string | undefined;
  hostId?: string | undefined;
  /** What changed, for a person. */
  message: string;
}

const MAX_MESSAGE_CHARACTERS = 4_000;

const INSERT: Statement = {
  name: "slipway_insert_audit_entries",
  text: `
    insert into audit_entries
      (id, actor, action, reason, application, deployment_id, build_id, region, host_id, message,
        token_id)
    select * from unnest($1::uuid[], $2::text[], $3::text[], $4::text[], $5::text[], $6::uuid[],
      $7::uuid[], $8::text[], $9::text[], $10::text[], $11::text[])`,
};

/** Writes an entry, in the transaction of what it tells of. */
export async function writeAudit(trx: Knex.Transaction, record: AuditRecord): Promise<void> {
  await trx("audit_entries").insert({
    id: uuidv7(),
    actor: record.actor,
    action: record.action,
    reason: record.reason ?? "",
    application: record.application,
    deployment_id: record.deploymentId,
    build_id: record.buildId,
    region: record.region,
    host_id: record.hostId,
    token_id: record.tokenId === "" ? undefined : record.tokenId,
    message: record.message.slice(0, MAX_MESSAGE_CHARACTERS),
  });
}

/** The same for a batch, in the transaction of a session. */
export async function writeAudits(
  session: Session,
  records: readonly AuditRecord[],
): Promise<void> {
  if (records.length === 0) return;
  await session.run(INSERT, [
    records.map(() => uuidv7()),
    records.map(({ actor }) => actor),
    records.map(({ action }) => action),
    records.map(({ reason }) => reason ?? ""),
    records.map(({ application }) => application ?? null),
    records.map(({ deploymentId }) => deploymentId ?? null),
    records.map(({ buildId }) => buildId ?? null),
    records.map(({ region }) => region ?? null),
    records.map(({ hostId }) => hostId ?? null),
    records.map(({ message }) => message.slice(0, MAX_MESSAGE_CHARACTERS)),
    records.map(({ tokenId }) => (tokenId === undefined || tokenId === "" ? null : tokenId)),
  ]);
}
