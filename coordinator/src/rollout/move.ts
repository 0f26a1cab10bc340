import type { Knex } from "knex";
import { writeAudit } from "../audit/audit-log.js";
import { failedPrecondition } from "../errors.js";
import { freezesAtCommit } from "../freeze/freezes.js";
import { GOAL_MAX_BYTES } from "../goal/goal.js";
import { enqueueNotification } from "../notification/outbox.js";
import { anyHost } from "../status/enrolment.js";
import { uuidv7 } from "../uuid.js";
import type { StoredDeployment } from "./deployment.js";
import * as store from "./deployment-store.js";
import { rollBackStrategy } from "./plan-steps.js";
import { generationElsewhere, prepare, preparedBytes, type Prepared } from "./prepare.js";
import type { RolloutContext } from "./rollout-context.js";
import { dueRegions } from "./snapshot.js";
import { SLIPWAY, type DeploymentEvent, type Outcome } from "./deployment-event.js";
import { transition } from "./transition.js";

/** What an event has made of a deployment. */
export interface Moved {
  stored: StoredDeployment;
  /** The deployment that puts back what ran before, if one was made. */
  rollBack: StoredDeployment | undefined;
  changed: boolean;
}

type Changed = Extract<Outcome, { kind: "changed" }>;

/**
 * Lets an event happen to a deployment, and writes all that follows in one transaction.
 * @returns undefined if it was changed, or the step that begins frozen, by somebody since it was read.
 * @throws DomainError FAILED_PRECONDITION if somebody asked for what cannot be.
 */
export async function move(
  context: RolloutContext,
  read: store.ReadDeployment,
  event: DeploymentEvent,
  tokenId?: string,
): Promise<Moved | undefined> {
  const mayEnd = event.type === "aborted" || event.type === "failed";
  const tookOver = mayEnd && (await store.tookOver(context.db, read));
  const outcome = transition(read.snapshot, event, read.now, tookOver);
  if (outcome.kind === "refused") throw failedPrecondition(outcome.reason, outcome.message);
  if (outcome.kind === "unchanged") return { stored: read, rollBack: undefined, changed: false };
  const { application } = read.deployment;
  const known = outcome.rollBack ? await generationElsewhere(context, application) : 0;
  const moved = await unlessFrozen(context.db, async (trx) => {
    const back = outcome.rollBack
      ? await prepareRollBack(trx, context, read, { known, tookOver })
      : undefined;
    const stored = await storeOutcome(trx, read, outcome, {
      rolledBackBy: back?.goal.deploymentId,
      tokenId,
    });
    if (stored === undefined) return undefined;
    if (event.type === "staged") await checkFreezes(trx, stored);
    const reason = reasonOf(outcome.note);
    const rollBack =
      back && (await insertPrepared(trx, back, { reason, idempotencyKey: null, request: "" }));
    return { stored, rollBack, changed: true };
  });
  if (moved === undefined) return undefined;
  context.stats.rollout.add(event.type);
  if (moved.rollBack !== undefined) context.stats.rollout.add("created");
  tell(context, moved, outcome);
  return moved;
}

/** A step was frozen since it was decided that it begins. */
class FrozenMeanwhile extends Error {
  override readonly name = "FrozenMeanwhile";
}

/** @throws FrozenMeanwhile, for the step not to begin. */
async function checkFreezes(trx: Knex.Transaction, { goal, snapshot }: StoredDeployment) {
  if (snapshot.isRollback || snapshot.overrideFreeze) return;
  const freezes = await freezesAtCommit(trx, goal.application, dueRegions(snapshot));
  if (freezes.length > 0) throw new FrozenMeanwhile();
}

/** Does it in a transaction, or nothing at all, with the answer undefined, if it is frozen. */
async function unlessFrozen<T>(
  db: Knex,
  work: (trx: Knex.Transaction) => Promise<T>,
): Promise<T | undefined> {
  try {
    return await db.transaction(work);
  } catch (error) {
    if (error instanceof FrozenMeanwhile) return undefined;
    throw error;
  }
}

/** Why what ran before is put back. */
function reasonOf(note: Changed["note"]): string {
  if (note?.action !== "abort") return `automatic: ${note?.message ?? ""}`;
  return `aborted by ${note.actor || "somebody"}${note.reason === "" ? "" : `: ${note.reason}`}`;
}

/** Writes what a transition says; undefined if the deployment was changed since it was read. */
export async function storeOutcome(
  trx: Knex.Transaction,
  read: StoredDeployment,
  { next, note, notify }: Changed,
  {
    rolledBackBy,
    tokenId,
  }: { rolledBackBy?: string | undefined; tokenId?: string | undefined } = {},
): Promise<StoredDeployment | undefined> {
  const stored = await store.storeTransition(trx, read, next, rolledBackBy);
  if (stored === undefined) return undefined;
  const { id, application, buildId } = stored.deployment;
  if (note !== undefined) {
    const { actor, action, reason, message } = note;
    const subject = { application, deploymentId: id, buildId };
    await writeAudit(trx, {
      ...subject,
      actor,
      tokenId,
      action: `deployment.${action}`,
      reason,
      message,
    });
  }
  if (notify) await enqueueNotification(trx, stored.deployment);
  return stored;
}

/** Stores a new deployment, and says so in the audit. The application must be locked. */
export async function insertPrepared(
  trx: Knex.Transaction,
  prepared: Prepared,
  {
    tokenId,
    ...asked
  }: {
    reason: string;
    idempotencyKey: string | null;
    request: string;
    tokenId?: string | undefined;
  },
): Promise<StoredDeployment> {
  const stored = await store.insertDeployment(trx, { ...prepared, ...asked });
  const { id, application, buildId, commitSha, generation, creator } = stored.deployment;
  const { isRollback, overrideFreeze } = stored.snapshot;
  const dropped = prepared.droppedRegions;
  await writeAudit(trx, {
    actor: creator,
    tokenId,
    action: isRollback ? "deployment.roll_back" : "deployment.create",
    reason: asked.reason,
    application,
    deploymentId: id,
    buildId,
    message:
      `commit ${commitSha} as generation ${generation}` +
      (overrideFreeze ? ", whatever is frozen" : "") +
      (dropped.length > 0 ? `, drops ${dropped.join(", ")} once it has succeeded` : ""),
  });
  return stored;
}

/** What is to be put back after a deployment that is over; undefined if there is nothing else. */
async function prepareRollBack(
  trx: Knex.Transaction,
  context: RolloutContext,
  { deployment, goal }: StoredDeployment,
  { known, tookOver }: { known: number; tookOver: boolean },
): Promise<Prepared | undefined> {
  const { application } = deployment;
  const locked = await store.readApplication(trx, application, { lock: true });
  const target = await store.newestSucceeded(trx, application);
  if (locked === undefined || locked.removed || target === undefined) return undefined;
  const { run: release, regions, selector } = target.goal;
  // Its own hosts run that; those that it took over do not.
  if (release.buildId === goal.run.buildId && !tookOver) return undefined;
  if (!(await anyHost(trx, { regions, selector }))) return undefined;
  const strategy = rollBackStrategy(target.strategy);
  const choice = { release, regions, selector, strategy, isRollback: true, overrideFreeze: false };
  const id = uuidv7();
  const preparation = { id, application, creator: SLIPWAY, choice, known, locked };
  const prepared = await prepare(trx, context, preparation);
  // It has to go out: hosts that have something better to go back to know of it.
  const fits = preparedBytes(prepared) <= GOAL_MAX_BYTES;
  const shorter = { ...prepared.goal, previous: undefined, previousGeneration: 0 };
  return fits ? prepared : { ...prepared, goal: shorter };
}

function tell(
  { events, log }: RolloutContext,
  { stored, rollBack }: Moved,
  outcome: Changed,
): void {
  const { id, application, buildId, generation } = stored.deployment;
  const { state, step, phase, limits, failure, pause, blockedBy } = stored.snapshot;
  const fields = { deploymentId: id, application, buildId, generation, state, step, phase };
  log.info(
    { ...fields, limits, failure, pause, blockedBy, rolledBackBy: rollBack?.deployment.id },
    outcome.note === undefined ? "deployment moved" : `deployment: ${outcome.note.action}`,
  );
  for (const changed of rollBack === undefined ? [stored] : [stored, rollBack]) {
    events.publish({ kind: "deployment", id: changed.deployment.id });
  }
}
