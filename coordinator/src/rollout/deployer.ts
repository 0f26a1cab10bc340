import type { Knex } from "knex";
import { applicationRemoved } from "../application/removed.js";
import { alreadyExists, notFound } from "../errors.js";
import { uuidv7 } from "../uuid.js";
import type { StoredDeployment } from "./deployment.js";
import * as store from "./deployment-store.js";
import { insertPrepared, storeOutcome } from "./move.js";
import { checkPrepared, generationElsewhere, prepare, type Choice } from "./prepare.js";
import type { RolloutContext } from "./rollout-context.js";
import { transition } from "./transition.js";

const UNIQUE_VIOLATION = "23505";

/** Who asks, why, and under which key. */
export interface Asked {
  creator: string;
  /** Of the token that it came with; empty without one. */
  tokenId?: string | undefined;
  reason: string;
  /** Empty for none. */
  idempotencyKey: string;
  /** What is asked for: the same key with another request is refused. */
  request: string;
  /** Whoever asked still waits; once it is aborted nothing is made any more. */
  signal?: AbortSignal | undefined;
}

/** Chooses what to deploy, under the application's lock. */
export type Choose = (db: Knex) => Promise<Choice>;

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
  const { db, events, log, stats } = context;
  const known = await generationElsewhere(context, application);
  const attempt = (): Promise<Deployed> =>
    db.transaction((trx) => deployIn(trx, context, { application, asked, choose, known }));
  const { created, superseded, repeated } = await attempt().catch((error: unknown) => {
    // Another application's deployment took the key meanwhile: find it, and answer accordingly.
    if ((error as { code?: string }).code === UNIQUE_VIOLATION) return attempt();
    throw error;
  });
  if (repeated) return created;
  stats.rollout.add("created");
  if (superseded !== undefined) stats.rollout.add("superseded");
  const { id, generation, buildId } = created.deployment;
  const { state } = created.snapshot;
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
  context: RolloutContext,
  given: { application: string; asked: Asked; choose: Choose; known: number },
): Promise<Deployed> {
  const { application, asked, choose, known } = given;
  const locked = await store.readApplication(trx, application, { lock: true });
  if (locked === undefined) throw notFound("application", application);
  const before = await findAsked(trx, asked);
  if (before !== undefined) return { created: before, superseded: undefined, repeated: true };
  if (locked.removed) throw applicationRemoved(application, "deploy it");
  // From now on it cannot end: else it could succeed after what there is to go back to was read.
  const active = await store.activeDeployment(trx, application, { lock: true });
  const choice = await choose(trx);
  const id = uuidv7();
  const { creator, tokenId, reason, request, idempotencyKey } = asked;
  const preparation = { id, application, creator, choice, known, locked };
  const prepared = await prepare(trx, context, preparation);
  await checkPrepared(trx, prepared);
  asked.signal?.throwIfAborted();
  if (active !== undefined) await supersede(trx, active, id);
  const created = await insertPrepared(trx, prepared, {
    reason,
    request,
    tokenId,
    idempotencyKey: idempotencyKey === "" ? null : idempotencyKey,
  });
  return { created, superseded: active?.deployment.id, repeated: false };
}

async function supersede(
  trx: Knex.Transaction,
  active: store.ReadDeployment,
  by: string,
): Promise<void> {
  const outcome = transition(active.snapshot, { type: "superseded", by }, active.now);
  const stored = outcome.kind === "changed" && (await storeOutcome(trx, active, outcome));
  if (!stored) throw new Error(`deployment ${active.deployment.id} changed under its lock`);
}
