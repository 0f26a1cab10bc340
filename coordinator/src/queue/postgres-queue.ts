import type { ApplicationSpec, Artifact, BuildFailure } from "@slipway/proto";
import type { Knex } from "knex";
import type { Author } from "../audit/audit-log.js";
import { inTransaction, runStatement, type Statement } from "../db/connection.js";
import type { EventBus } from "../events.js";
import { keepProvenances, type KeptProvenance } from "../provenance/store.js";
import { cancelBuild } from "./cancel.js";
import { Coalescer } from "./coalescer.js";
import {
  judgeCompletion,
  judgeEnded,
  judgeFailure,
  judgeLease,
  type LeaseRow,
} from "./judge-lease.js";
import {
  BACKLOG,
  COMPLETE,
  FAIL,
  HEARTBEAT,
  LEASE,
  LEASE_STATES,
  RELEASE,
  RESCUE,
} from "./lease-statements.js";
import type {
  Backlog,
  BuildQueue,
  LeasedBuild,
  LeaseKey,
  LeaseState,
  Rescued,
  Submission,
  Submitted,
} from "./queue.js";
import { RevisionSpecs } from "./revision-specs.js";
import { submitBatch } from "./submit.js";

interface LeasedRow {
  id: string;
  attempt: number;
  builder_id: string;
  application: string;
  application_revision: number;
  commit_sha: string;
}

/** A lease that a statement found to be held. */
interface HeldRow {
  /** Among those that it was given, from 1. */
  number: number;
  /** Afterwards, where that is not clear. */
  status?: string;
}

interface Completion {
  lease: LeaseKey;
  artifact: Artifact;
  provenance: KeptProvenance | undefined;
}

interface Failing {
  lease: LeaseKey;
  failure: BuildFailure;
  retry: boolean;
}

/** Runs a statement on the leases of these items. */
type RunHeld<Item> = (
  statement: Statement,
  values: readonly unknown[],
  items: readonly Item[],
) => Promise<HeldRow[]>;

export interface PostgresQueueOptions {
  /** Goes by indexes. */
  db: Knex;
  events: EventBus;
  leaseDurationMs: number;
}

const RESCUE_LIMIT = 500;

/** The queue as a table, leased with SKIP LOCKED and fenced by the attempt. */
export class PostgresQueue implements BuildQueue {
  readonly #db: Knex;
  readonly #events: EventBus;
  readonly #specs: RevisionSpecs;
  readonly #leaseDurationMs: number;
  readonly #submissions: Coalescer<Submission, Submitted>;
  readonly #heartbeats: Coalescer<LeaseKey, LeaseState>;
  readonly #checks: Coalescer<LeaseKey, LeaseState | "ended">;
  readonly #completions: Coalescer<Completion, LeaseState>;
  readonly #signedCompletions: Coalescer<Completion, LeaseState>;
  readonly #failures: Coalescer<Failing, LeaseState>;

  constructor({ db, events, leaseDurationMs }: PostgresQueueOptions) {
    this.#db = db;
    this.#events = events;
    this.#specs = new RevisionSpecs(db);
    this.#leaseDurationMs = leaseDurationMs;
    this.#submissions = new Coalescer({ run: (items) => this.#submitAll(items) });
    this.#heartbeats = new Coalescer({ run: (items) => this.#heartbeatAll(items) });
    this.#checks = new Coalescer({ run: (items) => this.#checkAll(items) });
    this.#completions = new Coalescer({ run: (items) => this.#completeAll(items) });
    this.#signedCompletions = new Coalescer({
      run: (items) =>
        this.#completeAll(items, (statement, values, first) =>
          completeSigned(this.#db, statement, values, first),
        ),
    });
    this.#failures = new Coalescer({ run: (items) => this.#failAll(items) });
  }

  submit(submission: Submission, signal?: AbortSignal): Promise<Submitted> {
    return this.#submissions.submit(submission, signal);
  }

  async cancel(buildId: string, submissionId: string | undefined, by: Author): Promise<void> {
    if (await cancelBuild(this.#db, buildId, submissionId, by)) this.#changed([buildId]);
  }

  async lease(builderIds: readonly string[]): Promise<LeasedBuild[]> {
    if (builderIds.length === 0) return [];
    const rows = await runStatement<LeasedRow>(this.#db, LEASE, [
      builderIds,
      builderIds.length,
      this.#leaseDurationMs,
    ]);
    this.#changed(rows.map(({ id }) => id));
    const leases = rows.map((row) => ({
      buildId: row.id,
      attempt: row.attempt,
      builderId: row.builder_id,
      application: row.application,
      applicationRevision: row.application_revision,
      commitSha: row.commit_sha,
    }));
    try {
      const revisions = leases.map(({ application, applicationRevision: revision }) => ({
        application,
        revision,
      }));
      const specs = await this.#specs.of(revisions);
      return leases.map((lease, index) => ({ ...lease, spec: specs[index] as ApplicationSpec }));
    } catch (error) {
      // Else nobody would know of them until they lapse; if this fails too they do.
      await this.release(leases).catch(() => undefined);
      throw error;
    }
  }

  async release(leases: readonly LeaseKey[]): Promise<void> {
    if (leases.length === 0) return;
    const rows = await runStatement<HeldRow>(this.#db, RELEASE, columns(leases));
    this.#changed(rows.map(({ number }) => leases[number - 1]?.buildId ?? ""));
    this.#queued(rows.length > 0);
  }

  heartbeat(lease: LeaseKey): Promise<LeaseState> {
    return this.#heartbeats.submit(lease);
  }

  check(lease: LeaseKey): Promise<LeaseState | "ended"> {
    return this.#checks.submit(lease);
  }

  complete(lease: LeaseKey, artifact: Artifact, provenance?: KeptProvenance): Promise<LeaseState> {
    const completions = provenance === undefined ? this.#completions : this.#signedCompletions;
    return completions.submit({ lease, artifact, provenance });
  }

  fail(lease: LeaseKey, failure: BuildFailure, retry: boolean): Promise<LeaseState> {
    return this.#failures.submit({ lease, failure, retry });
  }

  async rescue(): Promise<Rescued> {
    const rows = await runStatement<{ id: string; status: string }>(this.#db, RESCUE, [
      RESCUE_LIMIT,
    ]);
    const requeued = rows.filter(({ status }) => status === "QUEUED").map(({ id }) => id);
    const failed = rows.filter(({ status }) => status === "FAILED").map(({ id }) => id);
    this.#changed(rows.map(({ id }) => id));
    this.#queued(requeued.length > 0);
    return { requeued, failed };
  }

  async backlog(): Promise<Backlog> {
    const [row] = await runStatement<{ count: string; oldest_age_ms: string | null }>(
      this.#db,
      BACKLOG,
      [],
    );
    return { count: Number(row?.count ?? 0), oldestAgeMs: Number(row?.oldest_age_ms ?? 0) };
  }

  async #submitAll(submissions: readonly Submission[]): Promise<(Submitted | Error)[]> {
    const results = await submitBatch(this.#db, submissions);
    const submitted = results.filter((result): result is Submitted => !(result instanceof Error));
    this.#changed(submitted.filter(({ merged }) => merged).map(({ buildId }) => buildId));
    this.#queued(submitted.some(({ merged }) => !merged));
    return results;
  }

  async #heartbeatAll(leases: readonly LeaseKey[]): Promise<LeaseState[]> {
    const { firstIndexes, indexes } = distinct(leases);
    const first = firstIndexes.map((index) => leases[index] as LeaseKey);
    const rows = await runStatement<HeldRow>(this.#db, HEARTBEAT, [
      ...columns(first),
      this.#leaseDurationMs,
    ]);
    const held = new Set(rows.map(({ number }) => number - 1));
    const isHeld = indexes.map((index) => held.has(index));
    return this.#judge(leases, isHeld, (lease, row) => judgeLease(lease, row));
  }

  #checkAll(leases: readonly LeaseKey[]): Promise<(LeaseState | "ended")[]> {
    const none = leases.map(() => false);
    return this.#judge(leases, none, (lease, row) => judgeEnded(lease, row));
  }

  async #completeAll(
    items: readonly Completion[],
    run?: RunHeld<Completion>,
  ): Promise<LeaseState[]> {
    const extra = (first: readonly Completion[]) => [
      first.map(({ artifact }) => artifact.digest),
      first.map(({ artifact }) => artifact.sizeBytes),
      first.map(({ artifact }) => artifact.chunkCount),
      first.map(({ artifact }) => artifact.platform),
    ];
    const { leases, isDone } = await this.#applyOnce(items, COMPLETE, extra, run);
    const digests = items
      .filter((_, index) => isDone[index])
      .map(({ artifact }) => artifact.digest);
    this.#events.publish(...[...new Set(digests)].map((id) => ({ kind: "artifact" as const, id })));
    return this.#judge(leases, isDone, (lease, row, index) =>
      judgeCompletion(lease, items[index]?.artifact.digest ?? "", row),
    );
  }

  async #failAll(items: readonly Failing[]): Promise<LeaseState[]> {
    const { leases, isDone, rows } = await this.#applyOnce(items, FAIL, (first) => [
      first.map(({ retry }) => retry),
      first.map(({ failure }) => failure.reason),
      first.map(({ failure }) => failure.message),
      first.map(({ failure }) => failure.exitCode ?? null),
    ]);
    this.#queued(rows.some(({ status }) => status === "QUEUED"));
    return this.#judge(leases, isDone, (lease, row, index) => {
      const { failure, retry } = items[index] ?? { failure: undefined, retry: false };
      return judgeFailure(lease, { reason: failure?.reason ?? 0, retry }, row);
    });
  }

  /** Runs a statement once for each lease, however often it is named: it can end only once. */
  async #applyOnce<Item extends { lease: LeaseKey }>(
    items: readonly Item[],
    statement: Statement,
    extra: (first: readonly Item[]) => unknown[],
    run: RunHeld<Item> = (one, values) => runStatement<HeldRow>(this.#db, one, values),
  ): Promise<{ leases: LeaseKey[]; isDone: boolean[]; rows: HeldRow[] }> {
    const leases = items.map(({ lease }) => lease);
    const { firstIndexes } = distinct(leases);
    const first = firstIndexes.map((index) => items[index] as Item);
    const values = [...columns(first.map(({ lease }) => lease)), ...extra(first)];
    const rows = await run(statement, values, first);
    const done = new Set(rows.map(({ number }) => firstIndexes[number - 1]));
    const isDone = leases.map((_, index) => done.has(index));
    this.#changed(leases.filter((_, index) => isDone[index]).map(({ buildId }) => buildId));
    return { leases, isDone, rows };
  }

  /** "held" for those that are, and for the others what their rows say. */
  async #judge<State>(
    leases: readonly LeaseKey[],
    isHeld: readonly boolean[],
    judge: (lease: LeaseKey, row: LeaseRow | undefined, index: number) => State,
  ): Promise<(State | "held")[]> {
    if (isHeld.every(Boolean)) return leases.map(() => "held");
    const ids = leases.filter((_, index) => isHeld[index] !== true).map(({ buildId }) => buildId);
    const rows = await runStatement<LeaseRow>(this.#db, LEASE_STATES, [[...new Set(ids)]]);
    const byId = new Map(rows.map((row) => [row.id, row]));
    return leases.map((lease, index) =>
      isHeld[index] === true ? "held" : judge(lease, byId.get(lease.buildId), index),
    );
  }

  #changed(buildIds: readonly string[]): void {
    this.#events.publish(...buildIds.map((id) => ({ kind: "build" as const, id })));
  }

  #queued(any: boolean): void {
    if (any) this.#events.publish({ kind: "queue", id: "" });
  }
}

/** What builders signed is kept with the builds' success, and only with it. */
function completeSigned(
  db: Knex,
  statement: Statement,
  values: readonly unknown[],
  items: readonly Completion[],
): Promise<HeldRow[]> {
  return inTransaction(db, async (session) => {
    const rows = await session.run<HeldRow>(statement, values);
    const kept = rows.flatMap(({ number }) => {
      const { lease, provenance } = items[number - 1] ?? {};
      return lease && provenance ? { ...lease, ...provenance } : [];
    });
    await keepProvenances(session, kept);
    return rows;
  });
}

function columns(leases: readonly LeaseKey[]): [string[], number[], string[]] {
  return [
    leases.map(({ buildId }) => buildId),
    leases.map(({ attempt }) => attempt),
    leases.map(({ builderId }) => builderId),
  ];
}

/** Where each lease is named first; and for each, which of these it is. */
function distinct(leases: readonly LeaseKey[]): { firstIndexes: number[]; indexes: number[] } {
  const byName = new Map<string, number>();
  const firstIndexes: number[] = [];
  const indexes = leases.map(({ buildId, attempt, builderId }, index) => {
    const name = `${buildId} ${attempt} ${builderId}`;
    const known = byName.get(name);
    if (known !== undefined) return known;
    byName.set(name, firstIndexes.length);
    return firstIndexes.push(index) - 1;
  });
  return { firstIndexes, indexes };
}
