import { setTimeout as delay } from "node:timers/promises";
import type { Release } from "@slipway/proto";
import type { Knex } from "knex";
import { alreadyExists, failedPrecondition, notFound } from "../errors.js";
import { GOAL_MAX_BYTES, goalBytes, type GoalSource } from "../goal/goal.js";
import { anyHost } from "../status/enrolment.js";
import { uuidv7 } from "../uuid.js";
import type { StoredDeployment } from "./deployment.js";
import * as store from "./deployment-store.js";
import type { RolloutContext } from "./rollout-context.js";
import { transition } from "./transition.js";

/** How long creating waits for the goal bucket. */
const BUCKET_TIMEOUT_MS = 1_500;
const UNIQUE_VIOLATION = "23505";

/** Who asks, why, and under which key. */
export interface Asked {
  creator: string;
  reason: string;
  /** Empty for none. */
  idempotencyKey: string;
  /** What is asked for: the same key with another request is refused. */
  request: string;
}

/** What is to be deployed. */
export interface Choice {
  release: Release;
  regions: readonly string[];
  selector: Readonly<Record<string, string>>;
  isRollback: boolean;
  /** Set the goal at once; otherwise it waits for replication. */
  started: boolean;
}

/** Chooses what to deploy, under the application's lock. */
export type Choose = (trx: Knex.Transaction) => Promise<Choice>;

/** The deployment that the key named before. @throws DomainError ALREADY_EXISTS for another one. */
export async function findAsked(db: Knex, asked: Asked): Promise<StoredDeployment | undefined> {
  if (asked.idempotencyKey === "") return undefined;
  const found = await store.findByKey(db, asked.idempotencyKey);
  if (found !== undefined && found.request !== asked.request) {
    const message = `the idempotency key was used for deployment ${found.deployment.id}, which is another request`;
    throw alreadyExists("IDEMPOTENCY_KEY_USED", message);
  }
  return found;
}

/**
 * Makes a deployment in one transaction: supersedes the one before and takes a generation that is
 * higher than any that the database, the goal bucket or a host knows of.
 */
export async function deploy(
  context: RolloutContext,
  application: string,
  asked: Asked,
  choose: Choose,
): Promise<StoredDeployment> {
  const { db, events, log } = context;
  const known = await generationElsewhere(context, application);
  const attempt = (): Promise<Deployed> =>
    db.transaction((trx) => deployIn(trx, context, { application, asked, choose, known }));
  const { created, superseded, repeated } = await attempt().catch((error: unknown) => {
    // Another application's deployment took the key meanwhile: find it, and answer accordingly.
    if ((error as { code?: string }).code === UNIQUE_VIOLATION) return attempt();
    throw error;
  });
  if (repeated) return created;
  const { id, generation, buildId, state } = created.deployment;
  for (const changed of superseded === undefined ? [id] : [superseded, id]) {
    events.publish({ kind: "deployment", id: changed });
  }
  log.info({ deploymentId: id, application, generation, buildId, state, superseded }, "deploying");
  return created;
}

interface Deployed {
  created: StoredDeployment;
  superseded: string | undefined;
  /** The idempotency key named it before. */
  repeated: boolean;
}

async function deployIn(
  trx: Knex.Transaction,
  { config }: RolloutContext,
  given: { application: string; asked: Asked; choose: Choose; known: number },
): Promise<Deployed> {
  const { application, asked, choose, known } = given;
  if (!(await store.lockApplication(trx, application))) {
    throw notFound("application", application);
  }
  const before = await findAsked(trx, asked);
  if (before !== undefined) return { created: before, superseded: undefined, repeated: true };
  const { release, regions, selector, isRollback, started } = await choose(trx);
  if (!(await anyHost(trx, { regions, selector }))) throw noHosts(application, regions, selector);

  const id = uuidv7();
  const active = await store.activeDeployment(trx, application, { lock: true });
  const next = active && transition(active.state, { type: "superseded", by: id });
  if (active !== undefined && next !== undefined) {
    const stored = await store.storeTransition(trx, active, next, 0);
    if (!stored) throw new Error(`deployment ${active.deployment.id} changed under its lock`);
  }
  const newest = await store.newestDeployment(trx, application);
  const succeeded = await store.newestSucceeded(trx, application);
  const goal: GoalSource = {
    application,
    generation: Math.max(newest?.deployment.generation ?? 0, known) + 1,
    deploymentId: id,
    regions,
    selector,
    run: release,
    previous: succeeded?.goal.run,
  };
  const bytes = goalBytes(goal);
  if (bytes > GOAL_MAX_BYTES) throw tooLarge(goal, bytes);
  const created = await store.insertDeployment(trx, {
    goal,
    isRollback,
    creator: asked.creator,
    reason: asked.reason,
    idempotencyKey: asked.idempotencyKey === "" ? null : asked.idempotencyKey,
    request: asked.request,
    started,
    deadlineMs: started ? config.deploymentDeadlineMs : config.replicationDeadlineMs,
  });
  return { created, superseded: active?.deployment.id, repeated: false };
}

/** The highest generation that the goal bucket or a host knows of. */
async function generationElsewhere(
  { goals, status, log }: RolloutContext,
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

function noHosts(
  application: string,
  regions: readonly string[],
  selector: Readonly<Record<string, string>>,
): Error {
  const labels = Object.entries(selector).map(([label, value]) => `${label}=${value}`);
  const those = labels.length === 0 ? "" : ` with ${labels.join(", ")}`;
  return failedPrecondition(
    "NO_HOSTS",
    `no host${those} is enrolled in ${regions.join(", ")}, so nothing would run ${application}; ` +
      "start host agents there, or apply the application with another selector and build again",
  );
}
