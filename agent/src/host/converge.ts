import { setTimeout as delay } from "node:timers/promises";
import { HostFailureReason, HostPhase, type HostFailure } from "@slipway/proto";
import { backOffMs } from "../back-off.js";
import type { Logger } from "../log.js";
import { Activator } from "./activation.js";
import {
  hostFailure,
  localTransfer,
  transferSoFar,
  type ProgressReport,
} from "./application-report.js";
import {
  readState,
  writeState,
  type ApplicationState,
  type ReleaseRecord,
  type TransferRecord,
} from "./application-state.js";
import { goalOrder } from "./goal-order.js";
import type { LogFile } from "./log-file.js";
import type { HostEnvironment } from "./release-environment.js";
import { releaseFolderName, releaseKey } from "./release-key.js";
import { stage, type StageOptions } from "./stage.js";
import type { Supervisor } from "./supervisor.js";
import { chooseTarget } from "./target.js";
import type { VerifiedGoal } from "./verify-goal.js";
import { describeExit, type ReleaseFailure } from "./wait-healthy.js";

const RETRY = { baseMs: 2_000, maxMs: 60_000 };
/** How long a process of no known release may take to stop. */
const LEFT_OVER_STOP_MS = 10_000;

/** What bringing an application to its goal needs. */
export interface ConvergerOptions extends StageOptions {
  name: string;
  /** Of this application: state, release folders and log. */
  folder: string;
  host: HostEnvironment;
  supervisor: Supervisor;
  logFile: LogFile;
  log: Logger;
  report: ProgressReport;
  onProgress: () => void;
}

/**
 * Takes an application from what runs to what a goal asks for, in steps that may be ended between
 * any two and taken up again, be it by the next agent. One caller, one call at a time.
 */
export class Converger {
  readonly #options: ConvergerOptions;
  readonly #activator: Activator;
  #state: ApplicationState = {};
  /** The active release was healthy since this agent started or adopted it. */
  #healthy = false;
  /** How often it had exited when it was healthy. */
  #exitsWhenHealthy = 0;

  constructor(options: ConvergerOptions) {
    this.#options = options;
    this.#activator = new Activator({ ...options, application: options.name });
  }

  /** What is kept over restarts. */
  get state(): Readonly<ApplicationState> {
    return this.#state;
  }

  /** The release that is kept running, if any. */
  get running(): ReleaseRecord | undefined {
    const { active, activating } = this.#state;
    const { release } = this.#options.supervisor;
    return [active, activating].find((record) => record !== undefined && record.folder === release);
  }

  /** What is wrong with a release that was healthy: it exits, and is started again and again. */
  get trouble(): HostFailure | undefined {
    const { supervisor } = this.#options;
    if (!this.#healthy || !supervisor.isUnsteady(this.#exitsWhenHealthy)) return undefined;
    const times = supervisor.exits - this.#exitsWhenHealthy;
    const last = describeExit(supervisor.lastExit);
    const message = `exited ${times === 1 ? "once" : `${times} times`} since it was healthy, last with ${last}; it is started again`;
    return hostFailure(HostFailureReason.EXITED, message);
  }

  /** Reads what an earlier agent wrote down. */
  async load(): Promise<void> {
    const { folder, folders, logFile, log } = this.#options;
    await folders.prepare();
    await logFile.prepare();
    this.#state = await readState(folder, log);
  }

  /** Finds again, or starts again, what ran when the last agent ended. */
  async resume(): Promise<void> {
    const { active, activating } = this.#state;
    const { folders, supervisor } = this.#options;
    for (const record of [activating, active]) {
      if (record === undefined || !(await folders.has(record.folder))) continue;
      if (await this.#activator.adopt(record)) {
        this.#options.log.info({ release: record.folder }, "running release adopted");
        return;
      }
    }
    await supervisor.stopLeftOver(LEFT_OVER_STOP_MS);
    if (active === undefined) return;
    if (!(await folders.has(active.folder))) {
      this.#options.log.error({ release: active.folder }, "active release folder is gone");
      return;
    }
    const failure = await this.#activator.switchTo(active);
    if (failure !== undefined) {
      this.#options.log.error(
        { release: active.folder, failure },
        "active release cannot be started",
      );
    }
  }

  /**
   * Brings the application to the goal, or back to what was healthy before.
   * @throws StageError and system errors, after which it may be tried again; the signal's reason.
   */
  async converge(goal: VerifiedGoal, signal: AbortSignal): Promise<void> {
    const { host, report } = this.#options;
    await this.#obey(goal);
    const target = chooseTarget(host.hostId, goal, {
      hasActive: this.#state.active !== undefined,
      failed: this.#state.failed,
    });
    report.held = target.kind === "keep" || (target.kind === "run" && target.held);
    if (target.kind === "run") {
      const folder = releaseFolderName(target.release);
      await this.#bring({ folder, release: target.release }, goal.goal.generation, signal);
      return;
    }
    await this.#restore();
    if (target.kind === "keep") report.step(HostPhase.HELD);
    else report.step(HostPhase.FAILED, hostFailure(target.failure.reason, target.failure.message));
  }

  /** Writes the goal down before anything is done about it. */
  async #obey({ goal, signed }: VerifiedGoal): Promise<void> {
    const { failed, transfer } = this.#state;
    await this.#save({
      obeyed: goalOrder(goal),
      signedGoal: signed.toString("base64"),
      failed: failed?.generation === goal.generation ? failed : undefined,
      transfer: transfer?.generation === goal.generation ? transfer : undefined,
    });
  }

  async #bring(record: ReleaseRecord, generation: number, signal: AbortSignal): Promise<void> {
    const { supervisor, report } = this.#options;
    const { active, activating } = this.#state;
    if (
      active !== undefined &&
      releaseKey(active.release) === releaseKey(record.release) &&
      supervisor.release === active.folder
    ) {
      await this.#keepActive({ ...active, release: record.release }, generation, signal);
      return;
    }
    let failure: ReleaseFailure | undefined;
    if (supervisor.release !== record.folder || activating?.folder !== record.folder) {
      failure = await this.#stage(record, generation, signal);
      if (failure === undefined) {
        this.#healthy = false;
        await this.#save({ activating: record });
        report.step(HostPhase.ACTIVATING);
        failure = await this.#activator.switchTo(record);
      }
    }
    if (failure === undefined) {
      report.step(HostPhase.ACTIVATING);
      failure = await this.#activator.waitHealthy(record, signal);
    }
    if (failure === undefined) await this.#succeed(record, generation);
    else await this.#fail(record, generation, failure);
  }

  /** The goal's release runs already: no restart, but it must be known to be healthy. */
  async #keepActive(record: ReleaseRecord, generation: number, signal: AbortSignal): Promise<void> {
    const { report } = this.#options;
    const size = record.release.artifactSizeBytes;
    const transfer = this.#state.transfer ?? localTransfer(generation, size);
    await this.#save({ active: record, activating: undefined, transfer });
    for (let attempt = 0; !this.#healthy; attempt += 1) {
      if (attempt === 0) report.step(HostPhase.ACTIVATING);
      const failure = await this.#activator.waitHealthy(record, signal);
      if (failure === undefined) this.#noteHealthy();
      if (failure === undefined) break;
      // It was healthy once, so what fails now is around it: it is kept, and watched.
      report.step(HostPhase.ACTIVATING, hostFailure(failure.reason, failure.message));
      await delay(backOffMs(attempt, RETRY), undefined, { signal });
    }
    report.step(HostPhase.RUNNING);
  }

  async #stage(
    record: ReleaseRecord,
    generation: number,
    signal: AbortSignal,
  ): Promise<ReleaseFailure | undefined> {
    const { collect, report } = this.#options;
    if (!(await this.#options.folders.has(record.folder))) {
      // What went wrong the last time is shown until bytes flow again.
      if (!report.failing) report.step(HostPhase.STAGING);
      const failure = await this.#makeFolder(record, generation, signal);
      if (failure !== undefined) return failure;
      await collect();
    }
    this.#noteTransfer(record, generation, { stageDurationMs: report.elapsedMs });
    await this.#save({});
    report.step(HostPhase.STAGED);
    signal.throwIfAborted();
    return undefined;
  }

  async #makeFolder(
    record: ReleaseRecord,
    generation: number,
    signal: AbortSignal,
  ): Promise<ReleaseFailure | undefined> {
    const { onProgress, report } = this.#options;
    let fetched = false;
    const failure = await stage(this.#options, record, signal, (progress) => {
      if (!fetched) report.step(HostPhase.STAGING);
      fetched = true;
      this.#noteTransfer(record, generation, transferSoFar(progress));
      onProgress();
    });
    if (failure === undefined && !fetched) this.#noteTransfer(record, generation, {});
    return failure;
  }

  #noteTransfer(
    { release }: ReleaseRecord,
    generation: number,
    transfer: Partial<TransferRecord>,
  ): void {
    const before = this.#state.transfer ?? localTransfer(generation, release.artifactSizeBytes);
    this.#state.transfer = { ...before, ...transfer };
  }

  async #succeed(record: ReleaseRecord, generation: number): Promise<void> {
    const { folders, log, collect, report } = this.#options;
    const { active, previous, transfer } = this.#state;
    const before = active === undefined || active.folder === record.folder ? previous : active;
    const done = transfer ?? localTransfer(generation, record.release.artifactSizeBytes);
    this.#noteHealthy();
    await this.#save({
      active: record,
      previous: before?.folder === record.folder ? undefined : before,
      activating: undefined,
      failed: undefined,
      transfer: { ...done, activateDurationMs: report.elapsedMs },
    });
    report.step(HostPhase.RUNNING);
    log.info({ release: record.folder, generation }, "release is healthy");
    const keep = [this.#state.active, this.#state.previous].flatMap((kept) => kept?.folder ?? []);
    await folders.prune(new Set(keep));
    await collect();
  }

  async #fail(record: ReleaseRecord, generation: number, failure: ReleaseFailure): Promise<void> {
    const { log, report } = this.#options;
    log.error({ release: record.folder, generation, failure }, "release failed");
    const bounded = hostFailure(failure.reason, failure.message);
    // Outside the percentage it was not the goal's release that failed.
    const failed = report.held ? undefined : { generation, ...bounded };
    const saved = this.#save({ activating: undefined, failed });
    // On a full disk too, what failed must not stay in its place.
    await Promise.allSettled([saved]);
    await this.#restore();
    await saved;
    report.step(HostPhase.FAILED, bounded);
  }

  /** Back to the active release, if anything else was begun. */
  async #restore(): Promise<void> {
    const { active } = this.#state;
    if (active !== undefined && this.#options.supervisor.release === active.folder) return;
    this.#healthy = false;
    await this.#activator.putBack(active);
    await this.#save({ activating: undefined });
  }

  #noteHealthy(): void {
    this.#healthy = true;
    this.#exitsWhenHealthy = this.#options.supervisor.exits;
  }

  async #save(change: Partial<ApplicationState>): Promise<void> {
    this.#state = { ...this.#state, ...change };
    await writeState(this.#options.folder, this.#state);
  }
}
