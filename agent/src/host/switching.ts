import { setTimeout as delay } from "node:timers/promises";
import { HostFailureReason, HostPhase, type HostFailure } from "@slipway/proto";
import { backOffMs } from "../back-off.js";
import { Activator, startFailureReason, type ActivatorOptions } from "./activation.js";
import { hostFailure, localTransfer } from "./application-report.js";
import type { ReleaseRecord } from "./application-state.js";
import type { KeptState } from "./kept-state.js";
import { HealthWatch } from "./health-watch.js";
import { releaseKey } from "./release-key.js";
import type { SelfUpdate } from "./self-update.js";
import type { Course, Staging } from "./staging.js";
import { describeExit, type ReleaseFailure } from "./wait-healthy.js";

const RETRY = { baseMs: 2_000, maxMs: 60_000 };
/** How long a process of no known release may take to stop. */
const LEFT_OVER_STOP_MS = 10_000;

export interface SwitchingOptions extends ActivatorOptions {
  state: KeptState;
  staging: Staging;
  /** Frees room in the artifact store, if it takes more than its bound. */
  collect: () => Promise<void>;
  /** Name of the folder that the goal's release has, or is going to have. */
  wantedFolder: () => string | undefined;
  /** What is wrong with what runs has changed. */
  onTrouble: () => void;
}

/** Which release of an application runs, and the way from one to the next. One caller at a time. */
export class Switching {
  readonly #options: SwitchingOptions;
  readonly #activator: Activator;
  /** The active release was healthy since this agent started or adopted it. */
  #healthy = false;
  /** What runs was healthy once, be it under an earlier agent: it is watched. */
  #watched = false;
  /** How often it had exited when that began, or when a newer goal took it over. */
  #exitsBefore = 0;
  /** The generation under which its exits count. */
  #countedFor: number | undefined;
  readonly #watch: HealthWatch;

  constructor(options: SwitchingOptions) {
    this.#options = options;
    this.#activator = new Activator(options);
    this.#watch = new HealthWatch({ ...options, onTurn: options.onTrouble });
  }

  /** The release that is kept running, if any. */
  get running(): ReleaseRecord | undefined {
    const { active, activating } = this.#options.state.value;
    const { release } = this.#options.supervisor;
    return [active, activating].find((record) => record !== undefined && record.folder === release);
  }

  /**
   * What is wrong with a release that was healthy: it cannot be started any more, its health check
   * has turned bad, or it exits, and is started again and again.
   */
  get trouble(): HostFailure | undefined {
    const { supervisor } = this.#options;
    const { startError } = supervisor;
    if (startError !== undefined) {
      const message = `it cannot be started, and is tried again: ${startError.message}`;
      return hostFailure(startFailureReason(startError), message);
    }
    if (!this.#watched) return undefined;
    const bad = this.#watch.trouble;
    if (bad !== undefined) {
      const message = `it was healthy, and is not any more: ${bad}`;
      return hostFailure(HostFailureReason.UNHEALTHY, message);
    }
    if (!supervisor.isUnsteady(this.#exitsBefore)) return undefined;
    const times = supervisor.exits - this.#exitsBefore;
    const last = describeExit(supervisor.lastExit);
    const message = `exited ${times === 1 ? "once" : `${times} times`} since it was healthy, last with ${last}; it is started again`;
    return hostFailure(HostFailureReason.EXITED, message);
  }

  /** Finds again, or starts again if told to, what ran when the last agent ended. */
  async resume({ start }: { start: boolean }): Promise<void> {
    const { folders, supervisor, state, log } = this.#options;
    const { active, activating } = state.value;
    await this.#activator.killLeftHooks();
    for (const record of [activating, active]) {
      if (record === undefined || !(await folders.has(record.folder))) continue;
      if (await this.#activator.adopt(record)) {
        log.info({ release: record.folder }, "running release adopted");
        if (record === active) this.#startWatch(active);
        return;
      }
    }
    await supervisor.stopLeftOver(LEFT_OVER_STOP_MS);
    if (active === undefined || !start) return;
    if (!(await folders.has(active.folder))) {
      log.error({ release: active.folder }, "active release folder is gone");
      return;
    }
    const failure = await this.#activator.returnTo(active);
    if (failure !== undefined) {
      log.error({ release: active.folder, failure }, "active release cannot be started");
    } else this.#startWatch(active);
  }

  /**
   * Has a release running and healthy, or goes back to what was healthy before and says why.
   * @throws StageError and system errors, after which it may be tried again; the signal's reason.
   */
  async bring(
    record: ReleaseRecord,
    course: Course,
    signal: AbortSignal,
  ): Promise<ReleaseFailure | undefined> {
    const { supervisor, state, staging } = this.#options;
    const { active, activating } = state.value;
    const { report } = course;
    if (
      active !== undefined &&
      releaseKey(active.release) === releaseKey(record.release) &&
      supervisor.release === active.folder &&
      !supervisor.isDrained
    ) {
      await this.#keepActive({ ...record, folder: active.folder }, course, signal);
      return undefined;
    }
    let failure: ReleaseFailure | undefined;
    if (supervisor.release !== record.folder || activating?.folder !== record.folder) {
      failure = await staging.stage(record, course, signal);
      if (failure === undefined) {
        report?.step(HostPhase.STAGED);
        failure = await this.#activator.prepare(record, signal);
      }
      if (failure === undefined) failure = await this.#switchTo(record, course, signal);
    }
    if (failure === undefined) {
      report?.step(HostPhase.ACTIVATING);
      failure = await this.#activator.waitHealthy(record, signal);
    }
    failure ??= await this.#activator.finish(record, signal);
    if (failure === undefined) await this.#succeed(record, course);
    else await this.#fail(record, course, failure);
    return failure;
  }

  /** Watches what runs no more. */
  stop(): void {
    this.#watch.stop();
  }

  /** Back to the active release, if anything else was begun. */
  async restore(): Promise<void> {
    const { state, supervisor } = this.#options;
    const { active } = state.value;
    const { release, isDrained } = supervisor;
    if (active !== undefined && release === active.folder && !isDrained) return;
    this.#noteUnknown();
    await this.#activator.putBack(active);
    if (active !== undefined && supervisor.release === active.folder) this.#startWatch(active);
    await state.save({ activating: undefined });
  }

  /** Stops what runs, and removes all releases. @throws the signal's reason. */
  async end(signal: AbortSignal): Promise<void> {
    const { state, folders, collect } = this.#options;
    this.#noteUnknown();
    await this.#activator.end(signal);
    await state.save({ active: undefined, previous: undefined, activating: undefined });
    await folders.prune(new Set());
    await collect();
  }

  async #switchTo(
    record: ReleaseRecord,
    { report }: Course,
    signal: AbortSignal,
  ): Promise<ReleaseFailure | undefined> {
    const { state, supervisor } = this.#options;
    this.#noteUnknown();
    await state.save({ activating: record });
    report?.step(HostPhase.ACTIVATING);
    // What was never healthy, or comes back, serves nobody that would have to be let go.
    const { active } = state.value;
    const serves = supervisor.release === active?.folder && active?.folder !== record.folder;
    return this.#activator.switchTo(record, serves ? signal : undefined);
  }

  /** The release runs already: no restart, but it must be known to be healthy. */
  async #keepActive(record: ReleaseRecord, course: Course, signal: AbortSignal): Promise<void> {
    const { state } = this.#options;
    const { generation, report } = course;
    if (this.#countedFor !== generation) this.#countAnew(generation);
    const size = record.release.artifactSizeBytes;
    const transfer = state.value.transfer ?? localTransfer(generation, size);
    await state.save({ active: record, activating: undefined, transfer });
    for (let attempt = 0; !this.#healthy; attempt += 1) {
      if (attempt === 0) report?.step(HostPhase.ACTIVATING);
      const failure = await this.#activator.waitHealthy(record, signal);
      if (failure === undefined) this.#noteHealthy(record);
      if (failure === undefined) break;
      // It was healthy once, so what fails now is around it: it is kept, and watched.
      report?.step(HostPhase.ACTIVATING, hostFailure(failure.reason, failure.message));
      await delay(backOffMs(attempt, RETRY), undefined, { signal });
    }
    report?.step(HostPhase.RUNNING);
  }

  /** A goal has to answer for no exit under an earlier one, but for the release being there. */
  #countAnew(generation: number): void {
    const { supervisor } = this.#options;
    if (!supervisor.isUp || supervisor.isUnsteady(this.#exitsBefore)) this.#healthy = false;
    this.#exitsBefore = supervisor.exits;
    this.#countedFor = generation;
    this.#activator.countAnew();
  }

  async #succeed(record: ReleaseRecord, course: Course): Promise<void> {
    this.#countedFor = course.generation;
    this.#noteHealthy(record);
    await this.#keepRecord(record, course);
    const { generation } = course;
    this.#options.log.info({ release: record.folder, generation }, "release is healthy");
  }

  /** The release is what runs from now on; what is needed no more goes. */
  async #keepRecord(record: ReleaseRecord, { generation, report }: Course): Promise<void> {
    const { collect, state } = this.#options;
    const { active, previous, transfer, failed } = state.value;
    const before = active === undefined || active.folder === record.folder ? previous : active;
    const done = transfer ?? localTransfer(generation, record.release.artifactSizeBytes);
    await state.save({
      active: record,
      previous: before?.folder === record.folder ? undefined : before,
      activating: undefined,
      failed: report === undefined ? failed : undefined,
      transfer: report === undefined ? transfer : { ...done, activateDurationMs: report.chosenMs },
    });
    report?.step(HostPhase.RUNNING);
    await this.prune();
    await collect();
  }

  /** Lets a release of this agent take its place; undefined if it has. @throws the signal's reason. */
  async succeedSelf(
    selfUpdate: SelfUpdate,
    record: ReleaseRecord,
    course: Course,
    signal: AbortSignal,
  ): Promise<ReleaseFailure | undefined> {
    const { folders } = this.#options;
    course.report?.step(HostPhase.ACTIVATING);
    const command = this.#activator.command(record);
    if ("reason" in command) return command;
    const release = { name: record.folder, folder: folders.path(record.folder), command };
    const failure = await selfUpdate.activate(release, course.generation, signal);
    if (failure === undefined) await this.#keepRecord(record, course);
    return failure;
  }

  /** Removes the folders of releases that nobody needs. */
  async prune(): Promise<void> {
    const { state, folders, wantedFolder } = this.#options;
    const { active, previous, activating } = state.value;
    const kept = [active?.folder, previous?.folder, activating?.folder, wantedFolder()];
    await folders.prune(new Set(kept.filter((folder) => folder !== undefined)));
  }

  async #fail(record: ReleaseRecord, course: Course, failure: ReleaseFailure): Promise<void> {
    const { log, state } = this.#options;
    const { generation, report } = course;
    log.error({ release: record.folder, generation, failure }, "release failed");
    const bounded = hostFailure(failure.reason, failure.message);
    // What only runs until the goal's release may says nothing about that one.
    const failed = report === undefined ? state.value.failed : { generation, ...bounded };
    const saved = state.save({ activating: undefined, failed });
    // On a full disk too, what failed must not stay in its place.
    await Promise.allSettled([saved]);
    await this.restore();
    await saved;
    report?.step(HostPhase.FAILED, bounded);
  }

  #noteHealthy(record: ReleaseRecord): void {
    this.#healthy = true;
    this.#startWatch(record);
  }

  #startWatch(record: ReleaseRecord): void {
    this.#watched = true;
    this.#exitsBefore = this.#options.supervisor.exits;
    this.#watch.start(this.#activator.resolve(record));
  }

  #noteUnknown(): void {
    this.#healthy = false;
    this.#watched = false;
    this.#watch.stop();
  }
}
