import { Release } from "@slipway/proto";
import type { Knex } from "knex";
import type { GoalSource } from "../goal/goal.js";
import { fromRow, type DeploymentRow, type StoredDeployment } from "./deployment.js";
import type { Transition } from "./transition.js";

/** A deployment to be stored: in state RUNNING if `started`, else PENDING. */
export interface NewDeployment {
  goal: GoalSource;
  isRollback: boolean;
  creator: string;
  reason: string;
  idempotencyKey: string | null;
  request: string;
  started: boolean;
  /** From now, by the database's clock. */
  deadlineMs: number;
}

const NOW = "clock_timestamp()";
const FUTURE = `${NOW} + ? * interval '1 ms'`;

/** One deployment; undefined if there is none of that id. */
export async function findDeployment(db: Knex, id: string): Promise<StoredDeployment | undefined> {
  const row = await deployments(db).where({ id }).first();
  return row && fromRow(row);
}

/** The deployment that an idempotency key named before. */
export async function findByKey(db: Knex, key: string): Promise<StoredDeployment | undefined> {
  const row = await deployments(db).where({ idempotency_key: key }).first();
  return row && fromRow(row);
}

/** Those of the ids that there are. */
export async function findDeployments(
  db: Knex,
  ids: readonly string[],
): Promise<StoredDeployment[]> {
  const rows = await deployments(db).whereIn("id", [...ids]);
  return rows.map(fromRow);
}

/** An application's deployment of the highest generation. */
export async function newestDeployment(
  db: Knex,
  application: string,
): Promise<StoredDeployment | undefined> {
  const row = await deployments(db).where({ application }).orderBy("generation", "desc").first();
  return row && fromRow(row);
}

/** An application's newest deployment that succeeded, of another build than the one given. */
export async function newestSucceeded(
  db: Knex,
  application: string,
  exceptBuildId?: string,
): Promise<StoredDeployment | undefined> {
  const query = deployments(db).where({ application, state: "SUCCEEDED" });
  if (exceptBuildId !== undefined) void query.whereNot("build_id", exceptBuildId);
  const row = await query.orderBy("generation", "desc").first();
  return row && fromRow(row);
}

/** An application's newest deployment of a build whose goal was set. */
export async function newestStartedOf(
  db: Knex,
  application: string,
  buildId: string,
): Promise<StoredDeployment | undefined> {
  const row = await deployments(db)
    .where({ application, build_id: buildId })
    .whereNotNull("start_time")
    .orderBy("generation", "desc")
    .first();
  return row && fromRow(row);
}

/** Newest first, those before an id; of one application unless it is empty. */
export async function listDeployments(
  db: Knex,
  { application, before, limit }: { application: string; before?: string; limit: number },
): Promise<StoredDeployment[]> {
  const query = deployments(db).orderBy("id", "desc").limit(limit);
  if (application !== "") void query.where({ application });
  if (before !== undefined) void query.where("id", "<", before);
  return (await query).map(fromRow);
}

/** An application's deployment that is not final, and whether its deadline has passed. */
export async function activeDeployment(
  db: Knex,
  application: string,
  { lock = false }: { lock?: boolean } = {},
): Promise<(StoredDeployment & { overdue: boolean }) | undefined> {
  const query = deployments(db).where({ application }).whereIn("state", ["PENDING", "RUNNING"]);
  if (lock) void query.forUpdate();
  const row = (await query.first("*", db.raw(`deadline <= ${NOW} as overdue`))) as
    (DeploymentRow & { overdue: boolean }) | undefined;
  return row && { ...fromRow(row), overdue: row.overdue };
}

/** The applications that have a deployment that is not final. */
export async function activeApplications(db: Knex): Promise<string[]> {
  const rows = await deployments(db).whereIn("state", ["PENDING", "RUNNING"]).select("application");
  return rows.map(({ application }) => application);
}

/** A page of applications' goals: of each the newest deployment that was started. */
export async function startedGoals(
  db: Knex,
  { after, limit }: { after: string; limit: number },
): Promise<GoalSource[]> {
  const rows = (await db
    .from(
      // One index look-up an application, however many deployments it has had.
      db.raw(
        `applications a cross join lateral (
           select * from deployments d
           where d.application = a.name and d.start_time is not null
           order by d.generation desc limit 1) d`,
      ),
    )
    .where("a.name", ">", after)
    .orderBy("a.name")
    .limit(limit)
    .select("d.*")) as DeploymentRow[];
  return rows.map((row) => fromRow(row).goal);
}

/** Locks an application against other deployments until the transaction ends. False: no such. */
export async function lockApplication(trx: Knex.Transaction, name: string): Promise<boolean> {
  const row: unknown = await trx("applications").where({ name }).forNoKeyUpdate().first("name");
  return row !== undefined;
}

export async function insertDeployment(
  trx: Knex.Transaction,
  { goal, started, deadlineMs, ...given }: NewDeployment,
): Promise<StoredDeployment> {
  const { run, previous } = goal;
  const [row] = (await trx("deployments")
    .insert({
      id: goal.deploymentId,
      application: goal.application,
      application_revision: run.applicationRevision,
      build_id: run.buildId,
      generation: goal.generation,
      state: started ? "RUNNING" : "PENDING",
      is_rollback: given.isRollback,
      regions: [...goal.regions],
      selector: JSON.stringify(goal.selector),
      run_release: Buffer.from(Release.encode(run).finish()),
      previous_release: previous && Buffer.from(Release.encode(previous).finish()),
      previous_build_id: previous?.buildId,
      creator: given.creator,
      reason: given.reason,
      idempotency_key: given.idempotencyKey,
      request: given.request,
      start_time: started ? trx.raw(NOW) : null,
      deadline: trx.raw(FUTURE, [deadlineMs]),
    })
    .returning("*")) as DeploymentRow[];
  if (row === undefined) throw new Error("an insert returned no row");
  return fromRow(row);
}

/**
 * Stores a transition if the deployment still has the revision that it was decided on. Answers
 * whether it had. A started deployment gets a new deadline.
 */
export async function storeTransition(
  db: Knex,
  { deployment }: StoredDeployment,
  next: Transition,
  deadlineMs: number,
): Promise<boolean> {
  const changed = await db("deployments")
    .where({ id: deployment.id, revision: deployment.revision })
    .update({
      state: next.state,
      revision: db.raw("revision + 1"),
      ...(next.state === "RUNNING"
        ? { start_time: db.raw(NOW), deadline: db.raw(FUTURE, [deadlineMs]) }
        : { finish_time: db.raw(NOW) }),
      ...(next.state === "FAILED"
        ? { failure_reason: next.failure.reason, failure_message: next.failure.message }
        : {}),
      ...(next.state === "SUPERSEDED" ? { superseded_by: next.by } : {}),
    });
  return changed === 1;
}

function deployments(db: Knex): Knex.QueryBuilder<DeploymentRow, DeploymentRow[]> {
  return db<DeploymentRow>("deployments");
}
