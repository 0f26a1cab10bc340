import type { Application } from "@slipway/proto";
import type { Knex } from "knex";
import { writeAudit, type Author } from "../audit/audit-log.js";
import { notFound } from "../errors.js";
import type { RemovalSource } from "../goal/goal.js";
import * as deployments from "../rollout/deployment-store.js";
import { storeOutcome } from "../rollout/move.js";
import { generationElsewhere } from "../rollout/prepare.js";
import type { RolloutContext } from "../rollout/rollout-context.js";
import { transition } from "../rollout/transition.js";
import { uuidv7 } from "../uuid.js";
import { lockForRemoval } from "./removal-lock.js";
import { getApplication } from "./store.js";

/** What a removal has done. */
interface Removed {
  /** What hosts are to be told; undefined if none ever had a goal of it. */
  goal: RemovalSource | undefined;
  /** The deployment that was ended. */
  aborted: string | undefined;
}

/**
 * Removes an application: its active deployment ends as ABORTED, and hosts are told to stop and
 * forget it by a goal above all others, in every region that ever had one. Removing what is removed
 * changes nothing.
 * @throws DomainError NOT_FOUND
 */
export async function removeApplication(
  context: RolloutContext,
  name: string,
  by: Author,
): Promise<Application> {
  const { db, events, log } = context;
  const known = await generationElsewhere(context, name);
  const removed = await db.transaction((trx) => removeIn(trx, name, by, known));
  if (removed !== undefined) {
    const { goal, aborted } = removed;
    const { actor, reason } = by;
    log.info(
      { application: name, generation: goal?.generation, aborted, actor, reason },
      "application removed",
    );
    if (aborted !== undefined) events.publish({ kind: "deployment", id: aborted });
    if (goal !== undefined) await publish(context, goal);
  }
  return getApplication(db, name, 0);
}

/** Answers undefined if it was removed before. */
async function removeIn(
  trx: Knex.Transaction,
  name: string,
  by: Author,
  known: number,
): Promise<Removed | undefined> {
  await lockForRemoval(trx, name);
  const head = await deployments.readApplication(trx, name, { lock: true });
  if (head === undefined) throw notFound("application", name);
  if (head.removed) return undefined;
  const aborted = await abort(trx, name, by);
  const newest = await deployments.newestDeployment(trx, name);
  const lowest = Math.max(newest?.deployment.generation ?? 0, head.removalGeneration, known);
  const goal: RemovalSource | undefined = newest && {
    application: name,
    generation: lowest + 1,
    deploymentId: uuidv7(),
    regions: await regionsOf(trx, name),
    removed: true,
  };
  await trx("applications")
    .where({ name })
    .update({
      remove_time: trx.raw("clock_timestamp()"),
      update_time: trx.fn.now(),
      ...(goal === undefined
        ? {}
        : {
            removal_generation: goal.generation,
            removal_id: goal.deploymentId,
            removal_regions: goal.regions,
          }),
    });
  const where =
    goal === undefined
      ? "it was never deployed"
      : `from ${goal.regions.join(", ")} as generation ${goal.generation}`;
  const ended = aborted === undefined ? "" : `; deployment ${aborted} aborted`;
  const message = `${where}${ended}`;
  await writeAudit(trx, { ...by, action: "application.remove", application: name, message });
  return { goal, aborted };
}

/** Ends the active deployment, if there is one; what it has switched is removed with the rest. */
async function abort(
  trx: Knex.Transaction,
  name: string,
  { actor, reason, tokenId }: Author,
): Promise<string | undefined> {
  const active = await deployments.activeDeployment(trx, name, { lock: true });
  if (active === undefined) return undefined;
  const message = `the application is removed${reason === "" ? "" : `: ${reason}`}`;
  const event = { type: "aborted", actor, message, keepSwitched: true } as const;
  const outcome = transition(active.snapshot, event, active.now);
  const stored =
    outcome.kind === "changed" && (await storeOutcome(trx, active, outcome, { tokenId }));
  const { id } = active.deployment;
  if (!stored) throw new Error(`deployment ${id} changed under its lock`);
  return id;
}

async function regionsOf(trx: Knex.Transaction, application: string): Promise<string[]> {
  const rows: { region: string }[] = await trx("deployments")
    .where({ application })
    .distinct(trx.raw("unnest(regions) as region"))
    .orderBy("region");
  return rows.map(({ region }) => region);
}

/** At once, if NATS is there; otherwise it is put there with all other goals that are missing. */
async function publish({ goals, log }: RolloutContext, goal: RemovalSource): Promise<void> {
  try {
    await goals.publish(goal);
  } catch (error) {
    const { application } = goal;
    log.warn({ err: error, application }, "hosts are not yet told of a removal");
  }
}
