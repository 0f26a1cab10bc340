import {
  type Artifact,
  LogSource,
  buildFailureReasonToJSON,
  type Lease,
  type WorkLeased,
} from "@slipway/proto";
import type { Logger } from "../log.js";
import { type DataDirectory, removeTree } from "./data-directory.js";
import { executeBuild, type BuildContext } from "./execute-build.js";
import { BuildError, BuilderStoppingError, LeaseLostError, toFailure } from "./failure.js";
import { type BatchSpool, LeaseReport, type LeaseResult } from "./lease-report.js";
import { OutputLog } from "./log/output-log.js";
import { signBuild } from "./sign-build.js";
import { steadyNow } from "../steady-now.js";

/** Names a lease among those of one builder. */
export function leaseKey(lease: Lease | undefined): string {
  return `${lease?.buildId ?? ""}/${lease?.attempt ?? 0}`;
}

/** One leased build, from the lease to its result. */
export class Job {
  readonly leased: WorkLeased;
  readonly lease: Lease;
  readonly report: LeaseReport;
  readonly #abort = new AbortController();
  #interrupted = false;

  constructor(leased: WorkLeased, spool: BatchSpool) {
    this.leased = leased;
    this.lease = { buildId: leased.lease?.buildId ?? "", attempt: leased.lease?.attempt ?? 0 };
    this.report = new LeaseReport(this.lease, spool);
  }

  get key(): string {
    return leaseKey(this.lease);
  }

  /** Ends the work. */
  stop(reason: Error): void {
    this.#abort.abort(reason);
    this.report.drop();
  }

  /** Ends the work, if it still runs, with a result to report. */
  interrupt(reason: Error): void {
    this.#interrupted = true;
    this.#abort.abort(reason);
  }

  /** Builds. Ends when nothing of it runs and its directory is gone; never throws. */
  async run(context: BuildContext, data: DataDirectory, log: Logger): Promise<LeaseResult> {
    let result: LeaseResult;
    let directory: string | undefined;
    try {
      this.#abort.signal.throwIfAborted();
      directory = await data.createWork(this.lease.buildId, this.lease.attempt);
      const built = await this.#build(context, directory);
      result = built;
      const signed = built.provenance.length > 0;
      log.info({ lease: this.lease, digest: built.artifact.digest, signed }, "build succeeded");
    } catch (error) {
      result = toFailure(error);
      logEnd(log, this.lease, error);
    }
    if (directory !== undefined) {
      await removeTree(directory).catch((error: unknown) =>
        log.error({ err: error, directory }, "cannot remove a checkout"),
      );
    }
    const { logGraceMs, reportTimeoutMs } = context.config;
    const graceMs = this.#interrupted ? Math.min(logGraceMs, reportTimeoutMs / 4) : logGraceMs;
    this.report.finish(result, steadyNow(), graceMs);
    return result;
  }

  async #build(
    context: BuildContext,
    directory: string,
  ): Promise<LeaseResult & { artifact: Artifact }> {
    const startedOn = new Date();
    const began = steadyNow();
    const { logHeadBytes: headBytes, logTailBytes: tailBytes } = context.config;
    const output = new OutputLog({ headBytes, tailBytes });
    const { report } = this;
    const log = {
      say: (text: string) => {
        const time = new Date();
        const lines = text.split("\n");
        report.add(
          lines.map((line) => ({ time, source: LogSource.SYSTEM, text: line })),
          steadyNow(),
        );
      },
      output: (source: LogSource.STDOUT | LogSource.STDERR, chunk: Buffer) => {
        const now = new Date();
        report.add(output.push(source, chunk, now), steadyNow());
      },
      endOutput: () => report.add(output.finish(new Date()), steadyNow()),
    };
    try {
      const { leased } = this;
      const artifact = await executeBuild(context, leased, directory, log, this.#abort.signal);
      const identity = context.config.identity?.();
      if (identity === undefined) return { artifact, provenance: Buffer.alloc(0) };
      // Also if the clock was set meanwhile: what ends before it begins is believed by nobody.
      const finishedOn = new Date(startedOn.getTime() + steadyNow() - began);
      const times = { startedOn, finishedOn };
      const provenance = signBuild(identity, leased, artifact, times);
      log.say(
        provenance === undefined
          ? `not signed: the certificate of builder ${identity.id} has ended, and is not renewed yet`
          : `signed by builder ${identity.id}`,
      );
      return { artifact, provenance: provenance ?? Buffer.alloc(0) };
    } catch (error) {
      log.say(`failed: ${toFailure(error).failure?.message}`.slice(0, 4000));
      throw error;
    }
  }
}

function logEnd(log: Logger, lease: Lease, error: unknown): void {
  if (error instanceof BuildError && !error.retry) {
    const reason = buildFailureReasonToJSON(error.reason);
    log.info({ lease, reason, message: error.message }, "build failed");
  } else if (error instanceof LeaseLostError || error instanceof BuilderStoppingError) {
    log.info({ lease, reason: error.message }, "build given up");
  } else {
    log.error({ lease, err: error }, "build failed for the builder's own fault");
  }
}
