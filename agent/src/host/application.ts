import { setTimeout as delay } from "node:timers/promises";
import {
  HostFailureReason,
  HostPhase,
  type HostApplicationStatus,
  type HostFailure,
} from "@slipway/proto";
import { backOffMs } from "../back-off.js";
import type { Logger } from "../log.js";
import { Activator } from "./activation.js";
import { applicationStatus, hostFailure, localTransfer } from "./application-report.js";
import {
  readState,
  writeState,
  type ApplicationState,
  type ReleaseRecord,
} from "./application-state.js";
import { compareGoalOrder, goalOrder, type GoalOrder } from "./goal-order.js";
import type { LogFile } from "./log-file.js";
import type { HostEnvironment } from "./release-environment.js";
import type { ReleaseFolders } from "./release-folders.js";
import { releaseFolderName, releaseKey } from "./release-key.js";
import { createFolder, fetchArtifact, StageError, type Stager } from "./stage.js";
import type { Supervisor } from "./supervisor.js";
import { chooseTarget } from "./target.js";
import type { VerifiedGoal } from "./verify-goal.js";
import type { ReleaseFailure } from "./wait-healthy.js";

const RETRY = { baseMs: 2_000, maxMs: 60_000 };
/** How long a process of no known release may take to stop. */
const LEFT_OVER_STOP_MS = 10_000;

/** What an application needs of its host. */
export interface ApplicationOptions {
  name: string;
  /** Of this application: state, release folders and log. */
  folder: string;
  host: HostEnvironment;
  stager: Stager;
  folders: ReleaseFolders;
  supervisor: Supervisor;
  logFile: LogFile;
  log: Logger;
  /** Reads back the goal that was obeyed last; throws GoalRefusedError. */
  verify: (signed: Buffer) => VerifiedGoal;
  /** Frees room in the artifact store, if it is over its bound. */
  collect: () => Promise<void>;
  onChange: (change: "phase" | "progress") => void;
}

class SupersededError extends Error {
  override readonly name = "SupersededError";
}

/**
 * One application on this host: brings it to its goal, and keeps it there. A newer goal ends what is
 * under way for the older one. All changes are made by one loop.
 */
export class Application {
  readonly #options: ApplicationOptions;
  readonly #activator: Activator;
  #state: ApplicationState = {};
  #goal: VerifiedGoal | undefined;
  #settled: VerifiedGoal | undefined;
  #learned = { generation: 0, at: 0 };
  #phase = { generation: 0, phase: HostPhase.PENDING, time: new Date() };
  #failure: HostFailure | undefined;
  #refusal: HostFailure | undefined;
  /** The active release was healthy since this agent started or adopted it. */
  #healthy = false;
  #controller = new AbortController();
  #wake: () => void = () => {};
  #stopping = false;
  #loop: Promise<void> | undefined;

  constructor(options: ApplicationOptions) {
    this.#options = options;
    this.#activator = new Activator({ ...options, application: options.name });
  }

  /** Reads what an earlier agent left behind, takes over what it left running, and goes on. */
  async start(): Promise<void> {
    const { folder, folders, logFile, log, verify } = this.#options;
    await folders.prepare();
    await logFile.prepare();
    this.#state = await readState(folder, log);
    if (this.#state.signedGoal !== undefined) {
      try {
        this.#learn(verify(Buffer.from(this.#state.signedGoal, "base64")));
      } catch (error) {
        log.error({ error }, "goal that was obeyed before is refused now; what runs is kept");
      }
    }
    this.#loop = this.#run();
  }

  /** The newest goal's place in the order, over restarts; undefined before the first. */
  get order(): GoalOrder | undefined {
    return this.#goal === undefined ? this.#state.obeyed : goalOrder(this.#goal.goal);
  }

  /**
   * Takes a goal: newer ones are obeyed and the present one is fine. The answer says whether it is
   * older than what was obeyed, and so refused.
   */
  offer(goal: VerifiedGoal): "obeyed" | "known" | "older" {
    const { order } = this;
    const difference = order === undefined ? 1 : compareGoalOrder(goalOrder(goal.goal), order);
    if (difference < 0) return "older";
    this.#setRefusal(undefined);
    // Known by its order, but lost with a damaged state file: obeyed again.
    if (difference === 0 && this.#goal !== undefined) return "known";
    this.#learn(goal);
    this.#controller.abort(new SupersededError("a newer goal has come"));
    this.#wake();
    return "obeyed";
  }

  /** A goal was refused: reported until the next good one. */
  refuse(message: string): void {
    this.#setRefusal(hostFailure(HostFailureReason.GOAL_REFUSED, message));
  }

  status(): HostApplicationStatus {
    return applicationStatus(this.#options.name, {
      generation: this.#phase.generation,
      phase: this.#phase.phase,
      phaseTime: this.#phase.time,
      failure: this.#failure,
      refusal: this.#refusal,
      running: this.#running(),
      transfer: this.#state.transfer,
    });
  }

  /** Digests of the artifacts that must stay. */
  artifactsInUse(): string[] {
    const { active, previous, activating } = this.#state;
    const goal = this.#goal?.goal;
    return [
      active?.release,
      previous?.release,
      activating?.release,
      goal?.run,
      goal?.previous,
    ].flatMap((release) => release?.artifactDigest ?? []);
  }

  /** Ends what is under way. The release runs on for the next agent, or is stopped. */
  async stop(options: { stopRelease: boolean }): Promise<void> {
    this.#stopping = true;
    this.#controller.abort(new SupersededError("the agent stops"));
    this.#wake();
    await this.#loop;
    if (options.stopRelease) await this.#options.supervisor.stop();
    this.#options.supervisor.leave();
  }

  #learn(goal: VerifiedGoal): void {
    const { generation } = goal.goal;
    this.#goal = goal;
    if (this.#learned.generation !== generation) {
      this.#learned = { generation, at: performance.now() };
      this.#failure = undefined;
      this.#setPhase(HostPhase.PENDING, generation);
    }
  }

  async #run(): Promise<void> {
    let attempt = 0;
    let resumed = false;
    while (!this.#stopping) {
      const goal = this.#goal;
      const woken = new Promise<void>((resolve) => {
        this.#wake = resolve;
      });
      this.#controller = new AbortController();
      const { signal } = this.#controller;
      try {
        if (!resumed) await this.#resume();
        resumed = true;
        if (goal !== undefined && goal !== this.#settled) await this.#converge(goal, signal);
        this.#settled = goal;
        attempt = 0;
        if (this.#goal === goal && !this.#stopping) await woken;
      } catch (error) {
        if (signal.aborted) {
          attempt = 0;
          continue;
        }
        const waitMs = backOffMs(attempt, RETRY);
        attempt += 1;
        this.#noteTrouble(error, waitMs);
        await Promise.race([
          woken,
          delay(waitMs, undefined, { signal, ref: false }).catch(() => {}),
        ]);
      }
    }
  }

  #noteTrouble(error: unknown, waitMs: number): void {
    const retryInMs = Math.round(waitMs);
    this.#options.log.warn({ error, retryInMs }, "goal cannot be reached yet");
    if (!(error instanceof StageError)) return;
    this.#failure = hostFailure(error.reason, error.message);
    // A full disk needs somebody's hand; a download that fails is still on its way.
    const full = error.reason === HostFailureReason.DISK_FULL;
    this.#setPhase(full ? HostPhase.FAILED : HostPhase.STAGING);
    this.#options.onChange("phase");
  }

  /** Finds again, or starts again, what ran when the last agent ended. */
  async #resume(): Promise<void> {
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

  async #converge(goal: VerifiedGoal, signal: AbortSignal): Promise<void> {
    await this.#obey(goal);
    const target = chooseTarget(this.#options.host.hostId, goal, {
      hasActive: this.#state.active !== undefined,
      failed: this.#state.failed,
    });
    if (target.kind === "run") {
      const folder = releaseFolderName(target.release);
      await this.#bring({ folder, release: target.release }, goal, target.held, signal);
      return;
    }
    await this.#restore();
    if (target.kind === "failed") {
      this.#failure = hostFailure(target.failure.reason, target.failure.message);
      this.#setPhase(HostPhase.FAILED);
    } else {
      this.#setPhase(HostPhase.HELD);
    }
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

  async #bring(
    record: ReleaseRecord,
    goal: VerifiedGoal,
    held: boolean,
    signal: AbortSignal,
  ): Promise<void> {
    const { supervisor } = this.#options;
    const { active } = this.#state;
    const { generation } = goal.goal;
    const step = (phase: HostPhase): void =>
      this.#setPhase(held ? HostPhase.HELD : phase, generation);
    if (
      active !== undefined &&
      releaseKey(active.release) === releaseKey(record.release) &&
      supervisor.release === active.folder
    ) {
      await this.#keepActive({ ...active, release: record.release }, generation, step, signal);
      return;
    }
    let failure: ReleaseFailure | undefined;
    if (supervisor.release !== record.folder || this.#state.activating?.folder !== record.folder) {
      failure = await this.#stage(record, generation, step, signal);
      if (failure === undefined) {
        this.#healthy = false;
        await this.#save({ activating: record });
        step(HostPhase.ACTIVATING);
        failure = await this.#activator.switchTo(record);
      }
    }
    step(HostPhase.ACTIVATING);
    failure ??= await this.#activator.waitHealthy(record, signal);
    if (failure === undefined) await this.#succeed(record, generation, step);
    else await this.#fail(record, generation, failure, step, held);
  }

  /** The goal's release runs already: no restart, but it must be known to be healthy. */
  async #keepActive(
    record: ReleaseRecord,
    generation: number,
    step: (phase: HostPhase) => void,
    signal: AbortSignal,
  ): Promise<void> {
    const size = record.release.artifactSizeBytes;
    const transfer = this.#state.transfer ?? localTransfer(generation, size);
    await this.#save({ active: record, activating: undefined, transfer });
    for (let attempt = 0; !this.#healthy; attempt += 1) {
      step(HostPhase.ACTIVATING);
      const failure = await this.#activator.waitHealthy(record, signal);
      this.#failure = failure && hostFailure(failure.reason, failure.message);
      this.#healthy = failure === undefined;
      if (failure === undefined) break;
      // It was healthy once, so what fails now is around it: it is kept, and watched.
      this.#options.onChange("phase");
      await delay(backOffMs(attempt, RETRY), undefined, { signal });
    }
    this.#failure = undefined;
    step(HostPhase.RUNNING);
  }

  async #stage(
    record: ReleaseRecord,
    generation: number,
    step: (phase: HostPhase) => void,
    signal: AbortSignal,
  ): Promise<ReleaseFailure | undefined> {
    const { folders, stager, collect, onChange } = this.#options;
    const { artifactDigest, artifactSizeBytes } = record.release;
    const known = this.#state.transfer;
    const update = (transfer: Partial<NonNullable<typeof known>>): void => {
      const before = this.#state.transfer ?? localTransfer(generation, artifactSizeBytes);
      this.#state.transfer = { ...before, ...transfer };
    };
    if (!(await folders.has(record.folder))) {
      step(HostPhase.STAGING);
      let fetched = false;
      const file = await fetchArtifact(stager, artifactDigest, signal, (progress) => {
        fetched = true;
        update({
          bytesDone: progress.bytesDone,
          bytesTotal: progress.total,
          bytesFromPeers: progress.fromPeers,
          bytesFromSeeders: progress.fromSeeders,
          bytesFromLocal: progress.fromLocal,
        });
        onChange("progress");
      });
      if (!fetched) update({});
      try {
        await createFolder(folders, record, file, signal);
      } catch (error) {
        if (!(error instanceof StageError) || error.retryable) throw error;
        return { reason: error.reason, message: error.message };
      }
      await collect();
    }
    update({ stageDurationMs: performance.now() - this.#learned.at });
    this.#failure = undefined;
    await this.#save({});
    step(HostPhase.STAGED);
    signal.throwIfAborted();
    return undefined;
  }

  async #succeed(
    record: ReleaseRecord,
    generation: number,
    step: (phase: HostPhase) => void,
  ): Promise<void> {
    const { folders, log, collect } = this.#options;
    const { active, previous, transfer } = this.#state;
    const before = active === undefined || active.folder === record.folder ? previous : active;
    const done = transfer ?? localTransfer(generation, record.release.artifactSizeBytes);
    this.#healthy = true;
    this.#failure = undefined;
    await this.#save({
      active: record,
      previous: before?.folder === record.folder ? undefined : before,
      activating: undefined,
      failed: undefined,
      transfer: { ...done, activateDurationMs: performance.now() - this.#learned.at },
    });
    step(HostPhase.RUNNING);
    log.info({ release: record.folder, generation }, "release is healthy");
    const keep = [this.#state.active, this.#state.previous].flatMap((kept) => kept?.folder ?? []);
    await folders.prune(new Set(keep));
    await collect();
  }

  async #fail(
    record: ReleaseRecord,
    generation: number,
    failure: ReleaseFailure,
    step: (phase: HostPhase) => void,
    held: boolean,
  ): Promise<void> {
    this.#options.log.error({ release: record.folder, generation, failure }, "release failed");
    const failed = { generation, ...hostFailure(failure.reason, failure.message) };
    // Outside the percentage it was not the goal's release that failed.
    await this.#save({ activating: undefined, failed: held ? undefined : failed });
    await this.#restore();
    this.#failure = hostFailure(failure.reason, failure.message);
    step(HostPhase.FAILED);
  }

  /** Back to the active release, if anything else was begun. */
  async #restore(): Promise<void> {
    const { supervisor } = this.#options;
    const { active } = this.#state;
    if (active !== undefined && supervisor.release === active.folder) return;
    await this.#activator.putBack(active);
    await this.#save({ activating: undefined });
  }

  #running(): ReleaseRecord | undefined {
    const { active, activating } = this.#state;
    const { release } = this.#options.supervisor;
    return [active, activating].find((record) => record !== undefined && record.folder === release);
  }

  async #save(change: Partial<ApplicationState>): Promise<void> {
    this.#state = { ...this.#state, ...change };
    await writeState(this.#options.folder, this.#state);
  }

  #setPhase(phase: HostPhase, generation = this.#phase.generation): void {
    if (this.#phase.phase === phase && this.#phase.generation === generation) return;
    this.#phase = { phase, generation, time: new Date() };
    this.#options.log.info({ phase: HostPhase[phase], generation }, "phase");
    this.#options.onChange("phase");
  }

  #setRefusal(refusal: HostFailure | undefined): void {
    const changed = this.#refusal?.message !== refusal?.message;
    this.#refusal = refusal;
    if (changed) this.#options.onChange("phase");
  }
}
