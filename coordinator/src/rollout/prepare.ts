import { setTimeout as delay } from "node:timers/promises";
import type { Release, Strategy } from "@slipway/proto";
import type { Knex } from "knex";
import { failedPrecondition } from "../errors.js";
import { GOAL_MAX_BYTES, goalBytes, type GoalSource } from "../goal/goal.js";
import { anyHost } from "../status/enrolment.js";
import { begin } from "./begin.js";
import * as store from "./deployment-store.js";
import { findDropped } from "./dropped-regions.js";
import type { RolloutContext } from "./rollout-context.js";
import type { Snapshot } from "./snapshot.js";

/** How long creating waits for the goal bucket. */
const BUCKET_TIMEOUT_MS = 1_500;

/** What is to be deployed. */
export interface Choice {
  release: Release;
  regions: readonly string[];
  selector: Readonly<Record<string, string>>;
  strategy: Strategy;
  isRollback: boolean;
  overrideFreeze: boolean;
}

/** A deployment that could be stored now. */
export interface Prepared {
  goal: GoalSource;
  /** Removed by its goal once it has succeeded. */
  droppedRegions: readonly string[];
  strategy: Strategy;
  snapshot: Snapshot;
}

export interface Preparation {
  id: string;
  application: string;
  creator: string;
  choice: Choice;
  /** The highest generation that the goal bucket or a host knows of. */
  known: number;
  locked: Pick<store.ApplicationHead, "removalGeneration" | "now">;
}

/** Gives it a generation above all others, and the release to go back to. Writes nothing. */
export async function prepare(
  db: Knex,
  { config }: Pick<RolloutContext, "config">,
  { id, application, creator, choice, known, locked }: Preparation,
): Promise<Prepared> {
  const { release, regions, selector, strategy, isRollback, overrideFreeze } = choice;
  const newest = await store.newestDeployment(db, application);
  const succeeded = await store.newestSucceeded(db, application);
  const { dropped, gone } = await findDropped(db, application, regions);
  const generations = [newest?.deployment.generation ?? 0, locked.removalGeneration, known];
  const snapshot = begin({
    strategy,
    regions,
    isRollback,
    creator,
    overrideFreeze,
    now: locked.now,
    startTimeoutMs: config.replicationDeadlineMs,
  });
  const goal: GoalSource = {
    application,
    generation: Math.max(...generations) + 1,
    deploymentId: id,
    regions,
    selector,
    run: release,
    previous: succeeded?.goal.run,
    previousGeneration: succeeded?.goal.generation ?? 0,
    limits: snapshot.limits,
    removedRegions: gone,
    holds: false,
  };
  return { goal, droppedRegions: dropped, strategy, snapshot };
}

/** How large the goal's value gets, once it has succeeded. */
export function preparedBytes({ goal, droppedRegions }: Prepared): number {
  return goalBytes({ ...goal, removedRegions: [...goal.removedRegions, ...droppedRegions] });
}

/** @throws DomainError FAILED_PRECONDITION if nobody would run it, or hosts could not be told. */
export async function checkPrepared(db: Knex, prepared: Prepared): Promise<void> {
  const { goal } = prepared;
  if (!(await anyHost(db, goal))) throw noHosts(goal);
  const bytes = preparedBytes(prepared);
  if (bytes > GOAL_MAX_BYTES) throw tooLarge(goal, bytes);
}

/** The highest generation that the goal bucket or a host knows of. */
export async function generationElsewhere(
  { goals, status, log }: Pick<RolloutContext, "goals" | "status" | "log">,
  application: string,
): Promise<number> {
  const reported = status.highestGeneration(application);
  const ended = new AbortController();
  try {
    const late = delay(BUCKET_TIMEOUT_MS, undefined, { signal: ended.signal }).then(() => {
      throw new Error(`the goal bucket did not answer within ${BUCKET_TIMEOUT_MS} ms`);
    });
    return Math.max(reported, await Promise.race([goals.generation(application), late]));
  } catch (error) {
    // A deployment does not wait for NATS: its goal is written when NATS is back. Should the bucket
    // turn out to be ahead, the reconciler says so.
    log.warn({ err: error, application }, "deploying without knowing the bucket's generation");
    return reported;
  } finally {
    ended.abort();
  }
}

function tooLarge({ application, regions }: GoalSource, bytes: number): Error {
  return failedPrecondition(
    "GOAL_TOO_LARGE",
    `the goal of ${application} for ${regions.length} regions, with its previous release, would have ` +
      `${bytes} bytes of at most ${GOAL_MAX_BYTES}: make the application's run environment smaller, ` +
      "and build again",
  );
}

function noHosts({ application, regions, selector }: GoalSource): Error {
  const labels = Object.entries(selector).map(([label, value]) => `${label}=${value}`);
  const those = labels.length === 0 ? "" : ` with ${labels.join(", ")}`;
  return failedPrecondition(
    "NO_HOSTS",
    `no host${those} is enrolled in ${regions.join(", ")}, so nothing would run ${application}; ` +
      "start host agents there, or apply the application with another selector and build again",
  );
}
