import process from "node:process";
import { setTimeout as delay } from "node:timers/promises";
import {
  BuildFailureReason,
  type Lease,
  WorkAccepted_Kind,
  type WorkAnswer,
  WorkLeased,
  workLost_ReasonToJSON,
} from "@slipway/proto";
import type { Logger } from "../log.js";
import { thisProcess } from "../process/this-process.js";
import type { ResolvedConfig } from "./config.js";
import type { DataDirectory } from "./data-directory.js";
import type { BuildContext } from "./execute-build.js";
import { BuildError, BuilderStoppingError, LeaseLostError, toFailure } from "./failure.js";
import { Job, leaseKey } from "./job.js";
import { LogTails } from "./log-tails.js";
import { FileSpool } from "./log/file-spool.js";
import { WorkStream } from "./work-stream.js";
import { steadyNow } from "../steady-now.js";

/** How often reports are looked through for something to send. */
const TICK_MS = 50;

/** Counts since the builder started, and what it does now. */
interface BuilderStats {
  connected: boolean;
  running: number;
  succeeded: number;
  failed: number;
  lost: number;
}

/** A running builder. */
export interface Builder {
  readonly stats: BuilderStats;
  /**
   * Takes no more builds, lets the running ones go on for the drain timeout, then ends them and
   * hands them back for another attempt. May be called twice.
   */
  stop(): Promise<void>;
}

/** Leases builds for as long as it runs, and tells what became of them. */
export class LeasingBuilder implements Builder {
  readonly stats: BuilderStats = { connected: false, running: 0, succeeded: 0, failed: 0, lost: 0 };
  readonly #context: BuildContext;
  readonly #config: ResolvedConfig;
  readonly #data: DataDirectory;
  readonly #log: Logger;
  readonly #stream: WorkStream;
  /** Leases that are held: waiting for a slot, running, or with a result not accepted yet. */
  readonly #jobs = new Map<string, Job>();
  /** Builds that have ended, whose logs are not acknowledged yet. */
  readonly #tails: LogTails;
  /** Leased, and about to run. */
  #waiting: Job[] = [];
  /** Over the present stream. */
  #leasesReceived = 0;
  readonly #runs = new Set<Promise<void>>();
  readonly #ticker: NodeJS.Timeout;
  #heartbeat: NodeJS.Timeout | undefined;
  /** Heartbeats since the last answer to one. */
  #unanswered = 0;
  #draining = false;
  #stopping: Promise<void> | undefined;

  constructor(context: BuildContext, data: DataDirectory, abandoned: readonly Lease[]) {
    this.#context = context;
    this.#config = context.config;
    this.#data = data;
    this.#log = context.config.log;
    this.#tails = new LogTails(this.#log);
    this.#stream = new WorkStream({
      address: this.#config.coordinator,
      channel: this.#config.channel,
      hello: {
        builderId: this.#config.id,
        platform: `${process.platform}/${process.arch}`,
        signsProvenance: this.#config.identity !== undefined,
        process: thisProcess(),
        takesSeveral: true,
      },
      reconnectDelayMs: this.#config.reconnectDelayMs,
      log: this.#log,
      onWelcome: (leaseMs) => this.#welcome(leaseMs),
      onMessage: (message) => this.#receive(message),
      onDisconnect: () => this.#disconnected(),
    });
    this.#ticker = setInterval(() => this.#sendReports(), TICK_MS);
    // Sooner than the leases run out.
    for (const lease of abandoned) {
      const job = this.#newJob(WorkLeased.fromPartial({ lease }));
      this.#jobs.set(job.key, job);
      this.#giveBack(job, "the builder was killed");
    }
    this.#stream.start();
  }

  stop(): Promise<void> {
    this.#stopping ??= this.#stop();
    return this.#stopping;
  }

  async #stop(): Promise<void> {
    this.#draining = true;
    const { drainTimeoutMs, reportTimeoutMs, id } = this.#config;
    this.#log.info({ running: this.stats.running }, "builder stops");
    this.#sendReady();
    for (const job of this.#waiting.splice(0)) this.#giveBack(job, "the builder stops");
    await withTimeout(Promise.all(this.#runs), drainTimeoutMs);
    const reason = new BuilderStoppingError(`the builder ${id} was stopped`);
    for (const job of this.#jobs.values()) job.interrupt(reason);
    await Promise.all(this.#runs);
    this.#sendReports();
    const began = steadyNow();
    const isOver = (ms: number): boolean =>
      this.#jobs.size + this.#tails.size === 0 || steadyNow() >= began + ms;
    while (!isOver(reportTimeoutMs / 2)) await delay(TICK_MS);
    this.#tails.giveUp({ ms: 0, now: steadyNow() }, "the builder stops");
    while (!isOver(reportTimeoutMs)) await delay(TICK_MS);
    this.#tails.endAll("the builder stops");
    for (const { report } of this.#jobs.values()) report.drop();
    if (this.#jobs.size > 0) {
      this.#log.warn({ leases: [...this.#jobs.keys()] }, "stopped with results not accepted");
    }
    clearInterval(this.#ticker);
    clearInterval(this.#heartbeat);
    await this.#stream.stop();
    clearInterval(this.#heartbeat);
    await this.#data.unlock();
  }

  #welcome(leaseMs: number): void {
    this.stats.connected = true;
    this.#leasesReceived = 0;
    this.#log.info({ coordinator: this.#config.coordinator, leaseMs }, "connected");
    clearInterval(this.#heartbeat);
    this.#heartbeat = setInterval(() => this.#sendHeartbeat(), leaseMs / 3);
    this.#unanswered = 0;
    // First which leases are still held, then what was not answered, then what can be taken.
    this.#sendHeartbeat();
    for (const job of [...this.#jobs.values(), ...this.#tails.jobs]) job.report.resend();
    this.#sendReports();
    this.#sendReady();
  }

  #disconnected(): void {
    this.stats.connected = false;
    clearInterval(this.#heartbeat);
  }

  #receive(message: WorkAnswer): void {
    switch (message.$case) {
      case "leased":
        this.#take(message.value);
        break;
      case "accepted":
        if (message.value.kind === WorkAccepted_Kind.HEARTBEAT) this.#unanswered = 0;
        else for (const lease of message.value.leases) this.#accepted(lease);
        break;
      case "lost": {
        this.#unanswered = 0;
        const { lease, reason, message: more } = message.value;
        const why = workLost_ReasonToJSON(reason);
        this.#lose(lease, more === "" ? why : `${why}: ${more}`);
        break;
      }
      case "logsAccepted":
        this.#jobs.get(leaseKey(message.value.lease))?.report.acknowledge(message.value.batch);
        this.#tails.acknowledge(leaseKey(message.value.lease), message.value.batch);
        this.#sendReports();
        break;
      case "welcome":
        break;
    }
  }

  #take(leased: WorkLeased): void {
    this.#leasesReceived += 1;
    if (this.#jobs.has(leaseKey(leased.lease))) return;
    const job = this.#newJob(leased);
    // A later attempt of the same build here: the earlier one was rescued from us.
    for (const other of this.#jobs.values()) {
      if (other.lease.buildId === job.lease.buildId) this.#lose(other.lease, "LEASED_AGAIN");
    }
    this.#jobs.set(job.key, job);
    this.#log.info({ lease: job.lease, application: leased.application }, "leased");
    if (this.#draining || this.#waiting.length >= this.#config.slots) {
      this.#giveBack(job, "the builder had no free slot");
    } else {
      this.#waiting.push(job);
      this.#startWaiting();
    }
  }

  #startWaiting(): void {
    while (this.stats.running < this.#config.slots) {
      const job = this.#waiting.shift();
      if (job === undefined) return;
      this.stats.running += 1;
      const run = this.#run(job);
      this.#runs.add(run);
      void run.finally(() => this.#runs.delete(run));
    }
  }

  async #run(job: Job): Promise<void> {
    const result = await job.run(this.#context, this.#data, this.#log);
    this.stats.running -= 1;
    if (this.#jobs.get(job.key) === job) {
      if (result.artifact !== undefined) this.stats.succeeded += 1;
      else if (!result.retry) this.stats.failed += 1;
    }
    this.#sendReports();
    this.#startWaiting();
    this.#sendReady();
  }

  #giveBack(job: Job, reason: string): void {
    const { BUILDER_ERROR } = BuildFailureReason;
    const error = new BuildError(BUILDER_ERROR, reason, { retry: true });
    job.report.finish(toFailure(error), steadyNow(), 0);
    this.#sendReports();
  }

  #accepted(lease: Lease): void {
    const job = this.#jobs.get(leaseKey(lease));
    if (job?.report.finished !== true) return;
    this.#jobs.delete(job.key);
    job.report.accept();
    this.#tails.add(job, steadyNow());
  }

  #newJob(leased: WorkLeased): Job {
    return new Job(leased, new FileSpool(this.#data.work, this.#config.logSpoolBytes));
  }

  #lose(lease: Lease | undefined, reason: string): void {
    this.#tails.refused(leaseKey(lease), reason);
    const job = this.#jobs.get(leaseKey(lease));
    if (job === undefined) return;
    this.#log.warn({ lease: job.lease, reason }, "lease lost");
    this.stats.lost += 1;
    this.#jobs.delete(job.key);
    this.#waiting = this.#waiting.filter((each) => each !== job);
    job.stop(new LeaseLostError(`the lease was lost: ${reason}`));
  }

  #sendReady(): void {
    const taken = this.stats.running + this.#waiting.length;
    const freeSlots = this.#draining ? 0 : Math.max(0, this.#config.slots - taken);
    const value = { freeSlots, leasesReceived: this.#leasesReceived };
    this.#stream.send({ $case: "ready", value });
  }

  #sendHeartbeat(): void {
    if (this.#jobs.size === 0) {
      this.#unanswered = 0;
      return;
    }
    if (this.#unanswered >= 2) {
      this.#stream.reconnect("two heartbeats were not answered");
      return;
    }
    const leases = [...this.#jobs.values()].map((job) => job.lease);
    this.#unanswered += 1;
    this.#stream.send({ $case: "heartbeat", value: { leases } });
  }

  #sendReports(): void {
    if (!this.#stream.connected) return;
    const now = steadyNow();
    this.#tails.giveUp({ ms: this.#config.logLateMs, now }, "it waited too long");
    for (const job of [...this.#jobs.values(), ...this.#tails.jobs]) {
      for (const message of job.report.take(now)) this.#stream.send(message);
    }
  }
}

/** Waits for the promise, or for that long. */
async function withTimeout(promise: Promise<unknown>, timeoutMs: number): Promise<void> {
  let timer: NodeJS.Timeout | undefined;
  const timeout = new Promise<void>((resolve) => {
    timer = setTimeout(resolve, timeoutMs);
  });
  await Promise.race([promise, timeout]);
  clearTimeout(timer);
}
