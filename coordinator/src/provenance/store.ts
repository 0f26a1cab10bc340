import { type ProvenanceSummary, SignedProvenance } from "@slipway/proto";
import type { Knex } from "knex";
import { runStatement, type Session, type Statement } from "../db/connection.js";

/** What is kept of a provenance that was taken. */
export interface KeptProvenance {
  /** A serialised SignedProvenance, as the builder sent it. */
  signed: Buffer;
  /** Of the builder's key. */
  keyId: string;
  /** Of the membership key that signed the builder's certificate; undefined if none was there to check. */
  membershipKeyId: string | undefined;
}

/** $1 builds, $2 their builders, $3 to $5 what is kept. */
const KEEP: Statement = {
  name: "slipway_keep_provenance",
  text: `
    insert into build_provenances (build_id, builder_id, signed, key_id, membership_key_id)
    select * from unnest($1::uuid[], $2::text[], $3::bytea[], $4::text[], $5::text[])`,
};

const SUMMARY = "builder_id, key_id, membership_key_id, create_time";
const READ_SUMMARY: Statement = {
  name: "slipway_provenance_summary",
  text: `select ${SUMMARY} from build_provenances where build_id = $1`,
};
const READ: Statement = {
  name: "slipway_provenance",
  text: `select ${SUMMARY}, signed from build_provenances where build_id = $1`,
};

interface SummaryRow {
  builder_id: string;
  key_id: string;
  membership_key_id: string | null;
  create_time: Date;
}

/** In the transaction in which these builds succeed. */
export async function keepProvenances(
  session: Session,
  all: readonly (KeptProvenance & { buildId: string; builderId: string })[],
): Promise<void> {
  if (all.length === 0) return;
  await session.run(KEEP, [
    all.map(({ buildId }) => buildId),
    all.map(({ builderId }) => builderId),
    all.map(({ signed }) => signed),
    all.map(({ keyId }) => keyId),
    all.map(({ membershipKeyId }) => membershipKeyId ?? null),
  ]);
}

/** Undefined if the build's builder signed nothing. */
export async function readSummary(
  db: Knex,
  buildId: string,
): Promise<ProvenanceSummary | undefined> {
  const [row] = await runStatement<SummaryRow>(db, READ_SUMMARY, [buildId]);
  return row && toSummary(row);
}

/** The same with all that was signed. */
export async function readProvenance(
  db: Knex,
  buildId: string,
): Promise<{ provenance: SignedProvenance; summary: ProvenanceSummary } | undefined> {
  const [row] = await runStatement<SummaryRow & { signed: Buffer }>(db, READ, [buildId]);
  return row && { provenance: SignedProvenance.decode(row.signed), summary: toSummary(row) };
}

function toSummary(row: SummaryRow): ProvenanceSummary {
  return {
    builderId: row.builder_id,
    keyId: row.key_id,
    verified: row.membership_key_id !== null,
    membershipKeyId: row.membership_key_id ?? "",
    time: row.create_time,
  };
}
