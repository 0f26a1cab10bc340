import { HostPhase, type Goal, type HostFailure, type Release } from "@slipway/proto";
import { hostFailure, type ProgressReport } from "./application-report.js";
import type { ApplicationState, ReleaseRecord } from "./application-state.js";
import { goalOrder } from "./goal-order.js";
import type { HeldArtifacts } from "./held-artifacts.js";
import { KeptState } from "./kept-state.js";
import { persist } from "./persist.js";
import { releaseFolderName } from "./release-key.js";
import type { SelfUpdate } from "./self-update.js";
import { stageFailure, type StageOptions } from "./stage.js";
import { Staging, type Course } from "./staging.js";
import { Switching, type SwitchingOptions } from "./switching.js";
import { chooseTarget, releaseInForce, takesHost, type Target } from "./target.js";
import type { VerifiedGoal } from "./verify-goal.js";
import type { ReleaseFailure } from "./wait-healthy.js";

/** What bringing an application to its goal needs. */
export interface ConvergerOptions
  extends
    StageOptions,
    Pick<
      SwitchingOptions,
      "application" | "host" | "supervisor" | "logFile" | "log" | "onTrouble"
    > {
  /** Of this application: state, release folders and log. */
  folder: string;
  report: ProgressReport;
  onProgress: () => void;
  /** For the application that is this agent itself: nothing of it is supervised. */
  selfUpdate?: SelfUpdate | undefined;
}

/**
 * Takes an application from what runs to what a goal asks for, in steps that may be ended between
 * any two and taken up again, be it by the next agent. One caller, one call at a time.
 */
export class Converger {
  readonly #options: ConvergerOptions;
  readonly #state: KeptState;
  readonly #staging: Staging;
  readonly #switching: Switching;
  #wantedFolder: string | undefined;
  /** That a release which was to run until the goal's may has failed: it is not tried again. */
  #interimFailure: { generation: number; failure: HostFailure } | undefined;

  constructor(options: ConvergerOptions) {
    this.#options = options;
    this.#state = new KeptState(options.folder);
    this.#staging = new Staging({ ...options, state: this.#state });
    this.#switching = new Switching({
      ...options,
      state: this.#state,
      staging: this.#staging,
      wantedFolder: () => this.#wantedFolder,
    });
  }

  /** What is kept over restarts. */
  get state(): Readonly<ApplicationState> {
    return this.#state.value;
  }

  /** The artifacts that are whole here. */
  get held(): HeldArtifacts {
    return this.#staging.held;
  }

  /** The release that is kept running, if any. */
  get running(): ReleaseRecord | undefined {
    const { selfUpdate } = this.#options;
    if (selfUpdate === undefined) return this.#switching.running;
    const { active } = this.state;
    return active?.folder === selfUpdate.launchedRelease ? active : undefined;
  }

  /** What is wrong with a release that was healthy. */
  get trouble(): HostFailure | undefined {
    return this.#switching.trouble;
  }

  /** Reads what an earlier agent wrote down. */
  async load(): Promise<void> {
    const { folders, logFile, log } = this.#options;
    await folders.prepare();
    await logFile.prepare();
    await this.#state.load(log);
    await this.held.refresh();
  }

  /** Looks after what runs no more. */
  stop(): void {
    this.#switching.stop();
  }

  /** Finds again, or starts again, what ran when the last agent ended. */
  async resume(goal: VerifiedGoal | undefined): Promise<void> {
    const { host, selfUpdate } = this.#options;
    if (selfUpdate !== undefined) return undefined;
    return this.#switching.resume({ start: goal === undefined || takesHost(host, goal.goal) });
  }

  /**
   * Brings the application to the goal, or back to what was healthy before. "gone" if the goal has
   * nothing of it on this host.
   * @throws StageError and system errors, after which it may be tried again; the signal's reason.
   */
  async converge(goal: VerifiedGoal, signal: AbortSignal): Promise<"here" | "gone"> {
    const { host, report } = this.#options;
    const { generation } = goal.goal;
    await this.#obey(goal);
    const target = chooseTarget(host, goal, {
      active: this.state.active,
      failed: this.state.failed,
    });
    const { selfUpdate } = this.#options;
    if (selfUpdate !== undefined) {
      await this.#updateSelf(selfUpdate, target, goal.goal, signal);
      return "here";
    }
    if (target.kind === "forget") {
      await this.#switching.end(signal);
      return "gone";
    }
    if (target.kind === "failed") {
      await this.#switching.restore();
      report.step(HostPhase.FAILED, hostFailure(target.failure.reason, target.failure.message));
      await this.#catchUp(goal.goal, signal);
      return "here";
    }
    const record = recordOf(target.release, generation);
    this.#wantedFolder = record.folder;
    if (target.kind === "hold") {
      await this.#hold(record, goal.goal, signal);
      return "here";
    }
    const course = { generation, priority: "urgent" as const, report };
    const failure = await this.#switching.bring(record, course, signal);
    if (failure !== undefined) await this.#catchUp(goal.goal, signal);
    return "here";
  }

  /** The agent goes on when its application does: without a successor it stays what it is. */
  async #updateSelf(
    selfUpdate: SelfUpdate,
    target: Target,
    goal: Goal,
    signal: AbortSignal,
  ): Promise<void> {
    const { report } = this.#options;
    const { generation, previousGeneration } = goal;
    if (target.kind === "forget") return;
    if (target.kind === "failed") {
      report.step(HostPhase.FAILED, hostFailure(target.failure.reason, target.failure.message));
      if (this.#interim(goal) === undefined) await this.#noteKept(goal);
      return;
    }
    const record = recordOf(target.release, generation);
    this.#wantedFolder = record.folder;
    if (target.kind === "hold") {
      await this.#stageToHold(record, generation, signal);
      // As long as it was never updated, the agent is what somebody has installed.
      const missed = this.state.active === undefined ? undefined : target.meanwhile;
      if (missed === undefined) return;
      const course = { generation: previousGeneration, priority: "normal" as const };
      const failure = await this.#replaceSelf(
        selfUpdate,
        recordOf(missed, previousGeneration),
        course,
        signal,
      );
      if (failure !== undefined)
        report.step(HostPhase.HELD, hostFailure(failure.reason, failure.message));
      return;
    }
    const course = { generation, priority: "urgent" as const, report };
    const failure = await this.#replaceSelf(selfUpdate, record, course, signal);
    if (failure === undefined) return;
    const bounded = hostFailure(failure.reason, failure.message);
    await this.#state.save({ failed: { generation, ...bounded } });
    if (this.#interim(goal) === undefined) await this.#noteKept(goal);
    report.step(HostPhase.FAILED, bounded);
  }

  async #replaceSelf(
    selfUpdate: SelfUpdate,
    record: ReleaseRecord,
    course: Course,
    signal: AbortSignal,
  ): Promise<ReleaseFailure | undefined> {
    return (
      (await this.#staging.stage(record, course, signal)) ??
      (await this.#switching.succeedSelf(selfUpdate, record, course, signal))
    );
  }

  /** Writes the goal down before anything is done about it. */
  async #obey({ goal, signed, keyId }: VerifiedGoal): Promise<void> {
    const { failed, transfer } = this.state;
    const isOf = new Set([goal.generation, goal.previousGeneration]);
    await this.#state.save({
      obeyed: { ...goalOrder(goal), keyId },
      signedGoal: signed.toString("base64"),
      failed: failed !== undefined && isOf.has(failed.generation) ? failed : undefined,
      transfer: transfer?.generation === goal.generation ? transfer : undefined,
    });
  }

  /** Gets the goal's release, while what runs goes on, or comes to run. Neither waits for the other. */
  async #hold(record: ReleaseRecord, goal: Goal, signal: AbortSignal): Promise<void> {
    const { report } = this.#options;
    const { generation } = goal;
    const interim = this.#interim(goal);
    const keeping = this.#keepRunning(interim, generation, signal);
    // Two that are the same are made once.
    const before = interim?.folder === record.folder ? keeping : Promise.resolve();
    const staging = before.then(() => this.#stageToHold(record, generation, signal));
    const results = await Promise.allSettled([staging, keeping]);
    for (const result of results) if (result.status === "rejected") throw result.reason;
    // What was staged for goals before this one.
    await this.#switching.prune();
    const failed = this.#interimFailure;
    if (!report.failing && failed?.generation === generation) {
      report.step(HostPhase.HELD, failed.failure);
    }
  }

  /** Where the goal's release has failed, what is in force runs, also if this host has missed it. */
  async #catchUp(goal: Goal, signal: AbortSignal): Promise<void> {
    const interim = this.#interim(goal);
    if (interim === undefined) await this.#noteKept(goal);
    else await this.#keepRunning(interim, goal.generation, signal);
  }

  /**
   * What is active was kept as the goal's release has failed. The next failure takes the place of this
   * one: without that it would look as if the host had missed the generation that failed here before.
   */
  async #noteKept({ generation }: Goal): Promise<void> {
    const { active } = this.state;
    if (active === undefined || active.generation >= generation) return;
    await this.#state.save({ active: { ...active, generation } });
  }

  /** What is to run until the goal's release does; undefined for what is active. */
  #interim(goal: Goal): ReleaseRecord | undefined {
    const { active, failed } = this.state;
    const release = releaseInForce(goal, { active, failed });
    return release && recordOf(release, goal.previousGeneration);
  }

  async #stageToHold(record: ReleaseRecord, generation: number, signal: AbortSignal) {
    const { report, log } = this.#options;
    const course = { generation, priority: "background" as const, report };
    const failure = await persist(
      () => this.#staging.stage(record, course, signal),
      signal,
      (error, retryInMs) => {
        log.warn({ err: error, retryInMs }, "release cannot be staged yet");
        const told = stageFailure(error);
        if (told !== undefined) report.step(HostPhase.STAGING, told);
      },
    );
    if (failure === undefined) report.step(HostPhase.HELD);
    // Chosen, it would fail here: whoever raises the limit sees it before.
    else report.step(HostPhase.STAGING, hostFailure(failure.reason, failure.message));
  }

  async #keepRunning(
    interim: ReleaseRecord | undefined,
    generation: number,
    signal: AbortSignal,
  ): Promise<void> {
    const { log } = this.#options;
    const failure = await persist(
      async () => {
        const isFailed = this.#interimFailure?.generation === generation;
        const { active, activating } = this.state;
        if (interim === undefined || isFailed) return this.#switching.restore();
        // It may take long to come.
        if (active !== undefined && activating?.folder !== interim.folder) {
          await this.#switching.restore();
        }
        return this.#switching.bring(interim, { generation, priority: "normal" }, signal);
      },
      signal,
      (error, retryInMs) => log.warn({ err: error, retryInMs }, "nothing can be run yet"),
    );
    if (failure !== undefined) {
      this.#interimFailure = {
        generation,
        failure: hostFailure(failure.reason, failure.message),
      };
    }
  }
}

function recordOf(release: Release, generation: number): ReleaseRecord {
  return { folder: releaseFolderName(release), release, generation };
}
