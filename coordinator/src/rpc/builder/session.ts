import {
  BuildFailureReason,
  durationFromMs,
  WorkAccepted_Kind,
  WorkLost_Reason,
  type AgentProcess,
  type WorkAnswer,
  type WorkComplete,
  type WorkFail,
  type WorkHeartbeat,
  type WorkHello,
  type WorkLogs,
  type WorkReady,
} from "@slipway/proto";
import type { Context } from "../../context.js";
import { aborted, invalidArgument, permissionDenied, resourceExhausted } from "../../errors.js";
import { LogWriter } from "../../logs/log-writer.js";
import { builderRevoked, revokedBuilders } from "../../membership/revoked-builders.js";
import type { Seat } from "../../queue/dispatcher.js";
import type { LeasedBuild, LeaseKey, LeaseState } from "../../queue/queue.js";
import {
  checkArtifact,
  checkFailure,
  checkFreeSlots,
  checkHello,
  checkLease,
  checkLeases,
  checkLogs,
  type Saying,
} from "./check-request.js";
import type { Outbox } from "./outbox.js";

/** A lease that the builder works on. */
interface Held {
  lease: LeaseKey;
  /** Its end was said and is being written: changes of the build are ours. */
  isEnding: boolean;
  unsubscribe: () => void;
}

const MAX_HELD = 1_000;
const TWINS =
  "several processes say they are this builder, and end each other's streams: give each an id of its own";
/** How long the answer to a result waits for the next lease, which is about to follow if there is one. */
const ANSWER_PATIENCE_MS = 5;
const LOST_REASONS: Record<Exclude<LeaseState, "held">, WorkLost_Reason> = {
  superseded: WorkLost_Reason.SUPERSEDED,
  cancelled: WorkLost_Reason.CANCELLED,
  unknown: WorkLost_Reason.UNKNOWN,
};

/** One builder's stream. It holds no truth: leases outlive it in the database. */
export class BuilderSession {
  readonly #context: Context;
  readonly #outbox: Outbox<WorkAnswer>;
  readonly #writer: LogWriter;
  readonly #signal: AbortSignal;
  readonly #subject: string;
  readonly #held = new Map<string, Held>();
  #builderId: string | undefined;
  #seat: Seat | undefined;
  /** It was found not to be revoked. */
  #admitted: Promise<void> = Promise.resolve();
  #leave: (() => void) | undefined;
  #leasesSent = 0;
  #takesSeveral = false;
  #isClosed = false;

  /** @param subject the only builder that this may be; empty: any. */
  constructor(
    context: Context,
    outbox: Outbox<WorkAnswer>,
    { signal, subject }: { signal: AbortSignal; subject: string },
  ) {
    this.#context = context;
    this.#outbox = outbox;
    this.#signal = signal;
    this.#subject = subject;
    this.#writer = new LogWriter({
      logs: context.buildLogs,
      lateLines: context.lateLines,
      log: context.log,
    });
  }

  /** Does what the builder says. @throws DomainError, and then the stream is to end. */
  async handle(message: Saying | undefined): Promise<void> {
    if (message === undefined) throw malformed("message", "is missing");
    if (message.$case === "hello") return this.#hello(message.value);
    const builderId = this.#builderId;
    if (builderId === undefined) throw malformed("hello", "must be the first message");
    // It may not have waited until it was welcome.
    await this.#admitted;
    switch (message.$case) {
      case "ready":
        checkFreeSlots(message.value.freeSlots);
        return this.#ready(message.value);
      case "heartbeat":
        return this.#heartbeat(message.value, builderId);
      case "logs":
        return this.#logs(message.value, builderId);
      case "complete":
        return this.#complete(message.value, builderId);
      case "fail":
        return this.#fail(message.value, builderId);
    }
  }

  /** Whether the builder takes several messages as one. */
  get takesSeveral(): boolean {
    return this.#takesSeveral;
  }

  /** Takes no more builds and gives back those that the builder was not told of. Leases stay. */
  async close(): Promise<void> {
    this.#isClosed = true;
    this.#seat?.leave();
    this.#leave?.();
    for (const { unsubscribe } of this.#held.values()) unsubscribe();
    const unsent = this.#outbox.close().flatMap((message) => {
      const lease = message.$case === "leased" ? message.value.lease : undefined;
      return lease === undefined ? [] : { ...lease, builderId: this.#builderId ?? "" };
    });
    await this.#context.queue.release(unsent);
  }

  async #hello(hello: WorkHello): Promise<void> {
    if (this.#builderId !== undefined) throw malformed("hello", "must be said once");
    checkHello(hello);
    const { builderId, platform, signsProvenance, process, takesSeveral } = hello;
    if (this.#subject !== "" && builderId !== this.#subject) {
      const message = `this token is of builder ${this.#subject}, and cannot be used by another one`;
      throw permissionDenied("OUT_OF_SCOPE", message);
    }
    this.#context.provenance.checkHello(builderId, signsProvenance);
    this.#builderId = builderId;
    this.#takesSeveral = takesSeveral;
    this.#admitted = this.#admit(builderId, process);
    await this.#admitted;
    this.#context.log.info({ builderId, platform }, "builder connected");
  }

  /** @throws DomainError if it was revoked. */
  async #admit(builderId: string, process: AgentProcess | undefined): Promise<void> {
    const { builderSessions, config, db, dispatcher, log } = this.#context;
    // It would end the stream with which the builder has come again.
    if (this.#isClosed) return;
    // From now on it is among those that are ended when they are revoked.
    this.#leave = builderSessions.open(builderId, (error) => this.#outbox.end(error), process);
    const twins = builderSessions.tellTwins(builderId);
    if (twins.length > 0) log.error({ builderId, processes: twins }, TWINS);
    if ((await revokedBuilders(db, [builderId])).length > 0) throw builderRevoked(builderId);
    if (this.#isClosed) return;
    const leaseDuration = durationFromMs(config.leaseDurationMs);
    this.#send({ $case: "welcome", value: { leaseDuration, takesSeveral: true } });
    this.#seat = dispatcher.seat(builderId, (build) => this.#deliver(build));
  }

  #ready({ freeSlots, leasesReceived }: WorkReady): void {
    const onTheWay = Math.max(0, this.#leasesSent - leasesReceived);
    this.#seat?.setFree(Math.max(0, freeSlots - onTheWay));
  }

  #deliver(build: LeasedBuild): boolean {
    const { spec } = build;
    const isSent = this.#outbox.push({
      $case: "leased",
      value: {
        lease: { buildId: build.buildId, attempt: build.attempt },
        application: build.application,
        applicationRevision: build.applicationRevision,
        commitSha: build.commitSha,
        source: spec.source,
        build: spec.build,
      },
    });
    if (isSent) {
      this.#leasesSent += 1;
      this.#hold(build);
    }
    return isSent;
  }

  async #heartbeat({ leases }: WorkHeartbeat, builderId: string): Promise<void> {
    const keys = checkLeases(leases, builderId);
    const { queue } = this.#context;
    const states = await Promise.all(keys.map((key) => queue.heartbeat(key)));
    const held = keys.filter((_, index) => states[index] === "held");
    for (const key of held) this.#hold(key);
    if (held.length > 0) this.#accept(WorkAccepted_Kind.HEARTBEAT, held);
    for (const [index, key] of keys.entries()) {
      if (this.#held.get(key.buildId)?.isEnding === true) continue;
      this.#lose(key, states[index] ?? "unknown");
    }
  }

  async #logs(logs: WorkLogs, builderId: string): Promise<void> {
    const key = checkLease("logs.lease", logs.lease, builderId);
    const lines = checkLogs(logs, new Date(this.#context.clock.now()));
    const state = await this.#context.queue.check(key);
    // The result does not wait for its log.
    if (state !== "held" && state !== "ended") return this.#lose(key, state);
    const { buildId, attempt } = key;
    const { batch, last, givenUp } = logs;
    const written = { buildId, attempt, batch, lines, last, givenUp };
    // What is not kept is not acknowledged: the builder has it, and says it again.
    if (!(await this.#writer.write(written, this.#signal))) return;
    const lease = { buildId, attempt };
    this.#send({ $case: "logsAccepted", value: { lease, batch: logs.batch } });
  }

  async #complete(
    { lease, artifact, provenance: signed }: WorkComplete,
    builderId: string,
  ): Promise<void> {
    const key = checkLease("complete.lease", lease, builderId);
    const checked = checkArtifact(artifact);
    const judgement = await this.#context.provenance.judge(key, checked, signed);
    if (judgement.kind === "lost") return this.#lose(key, await this.#howLost(key));
    if (judgement.kind === "refused") return this.#refuse(key, judgement);
    const { provenance } = judgement;
    await this.#endLease(key, WorkAccepted_Kind.COMPLETE, (queue) =>
      queue.complete(key, checked, provenance),
    );
  }

  /** The build goes back for another attempt, or fails; the builder has nothing more to do with it. */
  async #refuse(
    key: LeaseKey,
    { message, retry }: { message: string; retry: boolean },
  ): Promise<void> {
    const { queue, stats, log } = this.#context;
    this.#ending(key);
    const failure = { reason: BuildFailureReason.PROVENANCE_REFUSED, message, exitCode: undefined };
    const state = await queue.fail(key, failure, retry);
    if (state !== "held") return this.#lose(key, state);
    this.#forget(key);
    const { buildId, attempt } = key;
    const reason = WorkLost_Reason.PROVENANCE_REFUSED;
    this.#send({ $case: "lost", value: { lease: { buildId, attempt }, reason, message } });
    stats.builds.add("refused");
    log.error({ ...key, retry, reason: message }, "a build's provenance was refused");
  }

  async #howLost(key: LeaseKey): Promise<LeaseState> {
    const state = await this.#context.queue.check(key);
    return state === "held" || state === "ended" ? "unknown" : state;
  }

  async #fail({ lease, failure, retry }: WorkFail, builderId: string): Promise<void> {
    const key = checkLease("fail.lease", lease, builderId);
    const checked = checkFailure(failure);
    await this.#endLease(key, WorkAccepted_Kind.FAIL, (queue) => queue.fail(key, checked, retry));
  }

  async #endLease(
    key: LeaseKey,
    kind: WorkAccepted_Kind,
    end: (queue: Context["queue"]) => Promise<LeaseState>,
  ): Promise<void> {
    this.#ending(key);
    const state = await end(this.#context.queue);
    if (state !== "held") return this.#lose(key, state);
    this.#forget(key);
    this.#accept(kind, [key]);
    const { log } = this.#context;
    log.info({ ...key, result: WorkAccepted_Kind[kind].toLowerCase() }, "builder ended a build");
  }

  #ending({ buildId, attempt }: LeaseKey): void {
    const held = this.#held.get(buildId);
    if (held !== undefined && held.lease.attempt === attempt) held.isEnding = true;
  }

  /** Follows the build's changes, to tell the builder at once when it is cancelled or taken away. */
  #hold({ buildId, attempt, builderId }: LeaseKey): void {
    if (this.#isClosed || this.#held.get(buildId)?.lease.attempt === attempt) return;
    if (this.#held.size >= MAX_HELD) {
      throw resourceExhausted("TOO_MANY_LEASES", `a builder may hold ${MAX_HELD} leases`);
    }
    const lease = { buildId, attempt, builderId };
    this.#held.get(buildId)?.unsubscribe();
    const unsubscribe = this.#context.events.subscribe(
      "build",
      () => void this.#checkHeld(lease),
      buildId,
    );
    this.#held.set(buildId, { lease, isEnding: false, unsubscribe });
  }

  async #checkHeld(lease: LeaseKey): Promise<void> {
    const held = this.#held.get(lease.buildId);
    if (held === undefined || held.isEnding || this.#isClosed) return;
    try {
      const state = await this.#context.queue.check(lease);
      if (state === "held" || held.isEnding) return;
      this.#lose(lease, state === "ended" ? "superseded" : state);
    } catch (error) {
      // The next heartbeat tells as well.
      this.#context.log.warn({ err: error, ...lease }, "a lease could not be checked");
    }
  }

  #lose(key: LeaseKey, state: LeaseState): void {
    if (state === "held") return;
    this.#forget(key);
    const { buildId, attempt } = key;
    const reason = LOST_REASONS[state];
    this.#send({ $case: "lost", value: { lease: { buildId, attempt }, reason, message: "" } });
    this.#context.log.info({ ...key, reason: state }, "builder lost a build");
  }

  #forget({ buildId, attempt }: LeaseKey): void {
    const held = this.#held.get(buildId);
    if (held === undefined || held.lease.attempt !== attempt) return;
    held.unsubscribe();
    this.#held.delete(buildId);
  }

  #accept(kind: WorkAccepted_Kind, keys: readonly LeaseKey[]): void {
    const leases = keys.map(({ buildId, attempt }) => ({ buildId, attempt }));
    const mayWait = this.#takesSeveral && kind !== WorkAccepted_Kind.HEARTBEAT;
    this.#send({ $case: "accepted", value: { kind, leases } }, mayWait ? ANSWER_PATIENCE_MS : 0);
  }

  #send(message: WorkAnswer, patienceMs = 0): void {
    if (this.#outbox.push(message, patienceMs) || this.#isClosed) return;
    this.#outbox.end(aborted("READER_TOO_SLOW", "too many messages wait for this builder"));
  }
}

function malformed(field: string, description: string): Error {
  return invalidArgument([{ field, description }]);
}
