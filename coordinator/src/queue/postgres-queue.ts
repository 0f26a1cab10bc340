import { ApplicationSpec, type Artifact, type BuildFailure } from "@slipway/proto";
import type { Knex } from "knex";
import type { Author } from "../audit/audit-log.js";
import { runStatement, type Statement } from "../db/connection.js";
import type { EventBus } from "../events.js";
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
import { submitBatch } from "./submit.js";

interface LeasedRow {
  id: string;
  attempt: number;
  builder_id: string;
  application: string;
  application_revision: number;
  commit_sha: string;
  spec: Buffer;
}

/** Who held the lease that a statement found. */
interface HolderRow {
  id: string;
  attempt: number;
  builder: string;
  status: string;
}

interface Completion {
  lease: LeaseKey;
  artifact: Artifact;
}

interface Failing {
  lease: LeaseKey;
  failure: BuildFailure;
  retry: boolean;
}

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
  readonly #leaseDurationMs: number;
  readonly #submissions: Coalescer<Submission, Submitted>;
  readonly #heartbeats: Coalescer<LeaseKey, LeaseState>;
  readonly #checks: Coalescer<LeaseKey, LeaseState | "ended">;
  readonly #completions: Coalescer<Completion, LeaseState>;
  readonly #failures: Coalescer<Failing, LeaseState>;

  constructor({ db, events, leaseDurationMs }: PostgresQueueOptions) {
    this.#db = db;
    this.#events = events;
    this.#leaseDurationMs = leaseDurationMs;
    this.#submissions = new Coalescer({ run: (items) => this.#submitAll(items) });
    this.#heartbeats = new Coalescer({ run: (items) => this.#heartbeatAll(items) });
    this.#checks = new Coalescer({ run: (items) => this.#checkAll(items) });
    this.#completions = new Coalescer({ run: (items) => this.#completeAll(items) });
    this.#failures = new Coalescer({ run: (items) => this.#failAll(items) });
  }

  submit(submission: Submission): Promise<Submitted> {
    return this.#submissions.submit(submission);
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
    return rows.map((row) => ({
      buildId: row.id,
      attempt: row.attempt,
      builderId: row.builder_id,
      application: row.application,
      applicationRevision: row.application_revision,
      commitSha: row.commit_sha,
      spec: ApplicationSpec.decode(row.spec),
    }));
  }

  async release(leases: readonly LeaseKey[]): Promise<void> {
    if (leases.length === 0) return;
    const rows = await runStatement<{ id: string }>(this.#db, RELEASE, columns(leases));
    this.#changed(rows.map(({ id }) => id));
    this.#queued(rows.length > 0);
  }

  heartbeat(lease: LeaseKey): Promise<LeaseState> {
    return this.#heartbeats.submit(lease);
  }

  check(lease: LeaseKey): Promise<LeaseState | "ended"> {
    return this.#checks.submit(lease);
  }

  complete(lease: LeaseKey, artifact: Artifact): Promise<LeaseState> {
    return this.#completions.submit({ lease, artifact });
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
    const rows = await runStatement<HolderRow>(this.#db, HEARTBEAT, [
      ...columns(leases),
      this.#leaseDurationMs,
    ]);
    const held = new Set(rows.map(holderName));
    const isHeld = leases.map((lease) => held.has(leaseName(lease)));
    return this.#judge(leases, isHeld, (lease, row) => judgeLease(lease, row));
  }

  #checkAll(leases: readonly LeaseKey[]): Promise<(LeaseState | "ended")[]> {
    const none = leases.map(() => false);
    return this.#judge(leases, none, (lease, row) => judgeEnded(lease, row));
  }

  async #completeAll(items: readonly Completion[]): Promise<LeaseState[]> {
    const { leases, isDone } = await this.#applyOnce(items, COMPLETE, (first) => [
      first.map(({ artifact }) => artifact.digest),
      first.map(({ artifact }) => artifact.sizeBytes),
      first.map(({ artifact }) => artifact.chunkCount),
      first.map(({ artifact }) => artifact.platform),
    ]);
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
  ): Promise<{
    leases: LeaseKey[];
    isDone: boolean[];
    rows: HolderRow[];
  }> {
    const byLease = new Map<string, Item>();
    for (const item of items) {
      const name = leaseName(item.lease);
      if (!byLease.has(name)) byLease.set(name, item);
    }
    const first = [...byLease.values()];
    const rows = await runStatement<HolderRow>(this.#db, statement, [
      ...columns(first.map(({ lease }) => lease)),
      ...extra(first),
    ]);
    this.#changed(rows.map(({ id }) => id));
    const done = new Set(rows.map(holderName));
    const isDone = items.map((item) => {
      const name = leaseName(item.lease);
      return done.has(name) && byLease.get(name) === item;
    });
    return { leases: items.map(({ lease }) => lease), isDone, rows };
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

function columns(leases: readonly LeaseKey[]): [string[], number[], string[]] {
  return [
    leases.map(({ buildId }) => buildId),
    leases.map(({ attempt }) => attempt),
    leases.map(({ builderId }) => builderId),
  ];
}

const leaseName = ({ buildId, attempt, builderId }: LeaseKey): string =>
  `${buildId} ${attempt} ${builderId}`;
const holderName = ({ id, attempt, builder }: HolderRow): string => `${id} ${attempt} ${builder}`;
