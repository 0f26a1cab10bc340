import type { Logger } from "../log.js";
import type { Job } from "./job.js";

/** Ended builds whose logs wait, at most. */
const MAX_TAILS = 64;

/** What is left of the logs of builds whose results the coordinator has. */
export class LogTails {
  readonly #log: Logger;
  /** The one that waits longest first. */
  readonly #jobs = new Map<string, { job: Job; since: number }>();

  constructor(log: Logger) {
    this.#log = log;
  }

  get size(): number {
    return this.#jobs.size;
  }

  get jobs(): Job[] {
    return [...this.#jobs.values()].map(({ job }) => job);
  }

  /** Takes a job whose result was accepted. */
  add(job: Job, now: number): void {
    if (job.report.isDone || job.report.isPassedOn) {
      this.#end(job, "the build goes to another builder");
      return;
    }
    this.#log.warn({ lease: job.lease }, "the log is not kept yet; it follows the result");
    this.#jobs.set(job.key, { job, since: now });
    const [oldest] = this.#jobs.values();
    if (oldest !== undefined && this.#jobs.size > MAX_TAILS) {
      this.#end(oldest.job, "too many logs wait");
    }
  }

  acknowledge(key: string, batch: number): void {
    const job = this.#jobs.get(key)?.job;
    job?.report.acknowledge(batch);
    if (job?.report.isDone === true) this.#end(job, "");
  }

  /** The coordinator takes no more of it. */
  refused(key: string, reason: string): void {
    const job = this.#jobs.get(key)?.job;
    if (job !== undefined) this.#end(job, `not taken: ${reason}`);
  }

  /** Those that wait for longer than that are to say only that their end is missing. */
  giveUp(waited: { ms: number; now: number }, reason: string): void {
    for (const { job, since } of this.#jobs.values()) {
      const { lease, report } = job;
      if (waited.now - since < waited.ms || report.isGivenUp) continue;
      this.#log.warn({ lease, bytes: report.logBytes, reason }, "the rest of a log is given up");
      report.giveUp();
    }
  }

  /** Nothing is said any more. */
  endAll(reason: string): void {
    for (const job of this.jobs) this.#end(job, reason);
  }

  #end(job: Job, reason: string): void {
    const { lease, report } = job;
    const bytes = report.logBytes;
    if (bytes > 0) this.#log.error({ lease, bytes, reason }, "the rest of a log is lost");
    this.#jobs.delete(job.key);
    report.drop();
  }
}
