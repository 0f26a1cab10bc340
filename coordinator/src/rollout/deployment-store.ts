import { Release, type Strategy } from "@slipway/proto";
import type { Knex } from "knex";
import type { GoalSource } from "../goal/goal.js";
import { fromRow, type DeploymentRow, type StoredDeployment } from "./deployment.js";
import { UNFINISHED, type Snapshot } from "./snapshot.js";

/** A deployment to be stored. */
export interface NewDeployment {
  goal: GoalSource;
  /** Removed by its goal once it has succeeded. */
  droppedRegions: readonly string[];
  strategy: Strategy;
  snapshot: Snapshot;
  reason: string;
  idempotencyKey: string | null;
  request: string;
}

/** A deployment, and the time by the database's clock when it was read. */
export type ReadDeployment = StoredDeployment & { now: number };

const NOW = "clock_timestamp()";

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

/**
 * An application's newest deployment that succeeded, of another build than the one given. What was
 * before the application was removed is gone.
 */
export async function newestSucceeded(
  db: Knex,
  application: string,
  exceptBuildId?: string,
): Promise<StoredDeployment | undefined> {
  const query = deployments(db)
    .where({ application, state: "SUCCEEDED" })
    .whereRaw(
      `generation > coalesce((select removal_generation from applications where name = ?), 0)`,
      [application],
    );
  if (exceptBuildId !== undefined) void query.whereNot("build_id", exceptBuildId);
  const row = await query.orderBy("generation", "desc").first();
  return row && fromRow(row);
}

/** An application's newest deployment of a build that some host was told to switch to. */
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

/**
 * Whether hosts may still run what a deployment has superseded, directly or through others that did
 * not tell them otherwise. A roll-back tells all of them.
 */
export async function tookOver(
  db: Knex,
  { deployment, snapshot }: StoredDeployment,
): Promise<boolean> {
  if (snapshot.isRollback) return false;
  const { application, generation } = deployment;
  const before = deployments(db).where({ application }).where("generation", "<", generation);
  const settled = before.clone().whereNot({ state: "SUPERSEDED" }).max("generation");
  const row = await before
    .whereNotNull("start_time")
    .whereRaw("generation > coalesce((?), 0)", [settled])
    .first("id");
  return row !== undefined;
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

/** The one of an application that is not final. */
export async function activeDeployment(
  db: Knex,
  application: string,
  { lock = false }: { lock?: boolean } = {},
): Promise<ReadDeployment | undefined> {
  const query = deployments(db)
    .where({ application })
    .whereIn("state", [...UNFINISHED]);
  if (lock) void query.forUpdate();
  return readOne(db, query);
}

/** One deployment, to be changed; undefined if there is none of that id. */
export async function readDeployment(db: Knex, id: string): Promise<ReadDeployment | undefined> {
  return readOne(db, deployments(db).where({ id }));
}

async function readOne(
  db: Knex,
  query: Knex.QueryBuilder<DeploymentRow, DeploymentRow[]>,
): Promise<ReadDeployment | undefined> {
  const row = (await query.first("*", db.raw(`${NOW} as now`))) as
    (DeploymentRow & { now: Date }) | undefined;
  return row && { ...fromRow(row), now: row.now.getTime() };
}

/** The deployments that are not final, and what holds them up. */
export async function activeDeployments(
  db: Knex,
): Promise<{ id: string; application: string; blocked: boolean }[]> {
  const rows = await deployments(db)
    .whereIn("state", [...UNFINISHED])
    .select("id", "application", "blocked_by");
  return rows.map(({ id, application, blocked_by: by }) => ({
    id,
    application,
    blocked: by !== "",
  }));
}

/** An application as far as deploying it goes. */
export interface ApplicationHead {
  removed: boolean;
  /** Of the goal that removed it last; 0 for none. No later generation may be below it. */
  removalGeneration: number;
  /** By the database's clock. */
  now: number;
}

/** An application; locked against other deployments until the transaction ends, if asked to. */
export async function readApplication(
  trx: Knex.Transaction,
  name: string,
  { lock }: { lock: boolean },
): Promise<ApplicationHead | undefined> {
  const query = trx("applications").where({ name });
  if (lock) void query.forNoKeyUpdate();
  const row = (await query.first("remove_time", "removal_generation", trx.raw(`${NOW} as now`))) as
    { remove_time: Date | null; removal_generation: string | null; now: Date } | undefined;
  if (row === undefined) return undefined;
  const { remove_time: removeTime, removal_generation: generation, now } = row;
  return {
    removed: removeTime !== null,
    removalGeneration: Number(generation ?? 0),
    now: now.getTime(),
  };
}

export async function insertDeployment(
  trx: Knex.Transaction,
  { goal, snapshot, strategy, ...given }: NewDeployment,
): Promise<StoredDeployment> {
  const { run, previous } = goal;
  const [row] = (await trx("deployments")
    .insert({
      id: goal.deploymentId,
      application: goal.application,
      application_revision: run.applicationRevision,
      build_id: run.buildId,
      generation: goal.generation,
      is_rollback: snapshot.isRollback,
      regions: [...goal.regions],
      dropped_regions: [...given.droppedRegions],
      gone_regions: [...goal.removedRegions],
      selector: JSON.stringify(goal.selector),
      run_release: Buffer.from(Release.encode(run).finish()),
      previous_release: previous && Buffer.from(Release.encode(previous).finish()),
      previous_build_id: previous?.buildId,
      previous_generation: goal.previousGeneration === 0 ? null : goal.previousGeneration,
      creator: snapshot.creator,
      reason: given.reason,
      idempotency_key: given.idempotencyKey,
      request: given.request,
      override_freeze: snapshot.overrideFreeze,
      ...changing(snapshot, strategy),
    })
    .returning("*")) as DeploymentRow[];
  if (row === undefined) throw new Error("an insert returned no row");
  return fromRow(row);
}

/**
 * Stores what has become of a deployment if it still has the revision that this was decided on;
 * undefined if it has not.
 */
export async function storeTransition(
  trx: Knex.Transaction,
  { deployment, strategy }: StoredDeployment,
  next: Snapshot,
  rolledBackBy?: string,
): Promise<StoredDeployment | undefined> {
  const [row] = (await trx("deployments")
    .where({ id: deployment.id, revision: deployment.revision })
    .update({
      revision: trx.raw("revision + 1"),
      ...changing(next, strategy),
      ...(rolledBackBy === undefined ? {} : { rolled_back_by: rolledBackBy }),
    })
    .returning("*")) as DeploymentRow[];
  return row && fromRow(row);
}

/** The columns that a transition may change, and those that rows of old coordinators lack. */
function changing(snapshot: Snapshot, strategy: Strategy) {
  const { failure, pause } = snapshot;
  return {
    state: snapshot.state,
    strategy: JSON.stringify(strategy),
    steps: JSON.stringify(snapshot.steps),
    limits: JSON.stringify(snapshot.limits),
    step: snapshot.step,
    step_phase: snapshot.phase,
    step_phase_time: new Date(snapshot.phaseTime),
    raise_time: new Date(snapshot.raiseTime),
    pause_reason: pause?.reason ?? null,
    pause_message: pause?.message ?? "",
    pause_actor: pause?.actor ?? "",
    pause_time: pause === undefined ? null : new Date(pause.time),
    promoted_step: snapshot.promotedStep,
    blocked_by: snapshot.blockedBy,
    held_time: timeOf(snapshot.heldTime),
    accepted_silence: jsonOf(snapshot.acceptedSilence),
    failure_reason: failure?.reason ?? null,
    failure_message: failure?.message ?? null,
    superseded_by: snapshot.supersededBy === "" ? null : snapshot.supersededBy,
    start_time: timeOf(snapshot.startTime),
    finish_time: timeOf(snapshot.finishTime),
    deadline: new Date(snapshot.deadline),
  };
}

function timeOf(ms: number | undefined): Date | null {
  return ms === undefined ? null : new Date(ms);
}

function jsonOf(value: unknown): string | null {
  return value === undefined ? null : JSON.stringify(value);
}

function deployments(db: Knex): Knex.QueryBuilder<DeploymentRow, DeploymentRow[]> {
  return db<DeploymentRow>("deployments");
}
