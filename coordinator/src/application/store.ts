import { ApplicationSpec, durationToMs, type Application } from "@slipway/proto";
import type { Knex } from "knex";
import { writeAudit, type Author } from "../audit/audit-log.js";
import { aborted, notFound } from "../errors.js";
import { describeChange } from "./describe-change.js";
import type { CheckedSpec } from "./spec.js";

interface Row {
  application: string;
  revision: number;
  spec: Buffer;
  regions: string[];
  max_attempts: number;
  run_limit_ms: number;
  create_time: Date;
}

/** A revision, with whether its application was removed. */
type RemovableRow = Row & Removal;

/** Of the application, whatever its revision. */
interface Removal {
  remove_time: Date | null;
  removal_generation: string | null;
}

const REMOVAL = ["a.remove_time", "a.removal_generation"] as const;

/** What an attempt may take beside its command: fetching the commit, uploading up to 10 GB. */
const RUN_GRACE_MS = 30 * 60_000;
const NOBODY: Author = { actor: "", reason: "" };

/**
 * Creates the application or gives it a new revision, unless the spec is the present one. One that
 * was removed is there again.
 * @param expected the revision to apply on top of; 0 for any.
 * @throws DomainError ABORTED if that is not the present one.
 */
export async function applyApplication(
  db: Knex,
  name: string,
  spec: CheckedSpec,
  expected: number,
  by = NOBODY,
): Promise<{ application: Application; changed: boolean }> {
  const bytes = Buffer.from(ApplicationSpec.encode(spec).finish());
  return db.transaction(async (trx) => {
    const audit = (message: string): Promise<void> =>
      writeAudit(trx, { ...by, action: "application.apply", application: name, message });
    // An application is made with its first revision only if none can be expected to be there.
    const created: unknown[] =
      expected === 0
        ? await trx("applications")
            .insert({ name, revision: 1 })
            .onConflict("name")
            .ignore()
            .returning("name")
        : [];
    if (created.length > 0) {
      await audit("revision 1: created");
      return { application: fromRow(await addRevision(trx, name, 1, spec)), changed: true };
    }
    const head = await trx<{ name: string; revision: number } & Removal>("applications")
      .where({ name })
      .forUpdate()
      .first();
    const present = head?.revision ?? 0;
    if (expected !== 0 && expected !== present) {
      throw aborted(
        "REVISION_MISMATCH",
        present === 0
          ? `revision ${expected} was expected, but there is no application "${name}"`
          : `revision ${expected} was expected, but the present one is ${present}`,
      );
    }
    const row = await trx<Row>("application_revisions")
      .where({ application: name, revision: present })
      .first();
    if (row === undefined) throw new Error(`application ${name} has no revision ${present}`);
    const isSame = row.spec.equals(bytes);
    const isRemoved = head?.remove_time != null;
    const removal = { remove_time: null, removal_generation: head?.removal_generation ?? null };
    if (isSame && !isRemoved) {
      return { application: fromRow({ ...row, ...removal }), changed: false };
    }
    const revision = isSame ? present : present + 1;
    await trx("applications")
      .where({ name })
      .update({ revision, remove_time: null, update_time: trx.fn.now() });
    const what = isSame ? "unchanged" : describeChange(ApplicationSpec.decode(row.spec), spec);
    await audit(`revision ${revision}: ${what}${isRemoved ? "; it had been removed" : ""}`);
    const made = isSame ? row : await addRevision(trx, name, revision, spec);
    return { application: fromRow({ ...made, ...removal }), changed: true };
  });
}

async function addRevision(
  trx: Knex.Transaction,
  application: string,
  revision: number,
  spec: CheckedSpec,
): Promise<Row> {
  const [row] = await trx<Row>("application_revisions")
    .insert({
      application,
      revision,
      spec: Buffer.from(ApplicationSpec.encode(spec).finish()),
      regions: spec.regions,
      max_attempts: spec.build.maxAttempts,
      run_limit_ms: durationToMs(spec.build.timeout, 0) + RUN_GRACE_MS,
    })
    .returning("*");
  if (row === undefined) throw new Error("an insert returned no row");
  return row;
}

/** @param revision 0 for the present one. @throws DomainError NOT_FOUND */
export async function getApplication(
  db: Knex,
  name: string,
  revision: number,
): Promise<Application> {
  const query = db<Row>("application_revisions as r")
    .join("applications as a", "a.name", "r.application")
    .where("r.application", name);
  if (revision === 0) void query.whereRaw("a.revision = r.revision");
  else void query.where("r.revision", revision);
  const row = (await query.first("r.*", ...REMOVAL)) as RemovableRow | undefined;
  if (row !== undefined) return fromRow(row);
  if (revision !== 0) await getApplication(db, name, 0);
  throw revision === 0
    ? notFound("application", name)
    : notFound("application revision", `${name}@${revision}`);
}

/** Present revisions, ordered by name, those after a name. */
export async function listApplications(
  db: Knex,
  {
    after,
    limit,
    includeRemoved,
    among,
  }: {
    after: string | undefined;
    limit: number;
    includeRemoved: boolean;
    /** Only these; empty: all. */
    among: readonly string[];
  },
): Promise<Application[]> {
  const query = db<Row>("application_revisions as r")
    .join("applications as a", (join) =>
      join.on("a.name", "r.application").andOn("a.revision", "r.revision"),
    )
    .orderBy("a.name")
    .limit(limit);
  if (after !== undefined) void query.where("a.name", ">", after);
  if (!includeRemoved) void query.whereNull("a.remove_time");
  if (among.length > 0) void query.whereIn("a.name", [...among]);
  const rows = (await query.select("r.*", ...REMOVAL)) as RemovableRow[];
  return rows.map(fromRow);
}

function fromRow(row: Row & Partial<RemovableRow>): Application {
  return {
    name: row.application,
    revision: row.revision,
    spec: ApplicationSpec.decode(row.spec),
    updateTime: row.create_time,
    removeTime: row.remove_time ?? undefined,
    removalGeneration: Number(row.removal_generation ?? 0),
  };
}
