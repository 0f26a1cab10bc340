import { setTimeout as delay } from "node:timers/promises";
import {
  HostFailureReason,
  HostPhase,
  type HostApplicationStatus,
  type HostFailure,
} from "@slipway/proto";
import { backOffMs } from "../back-off.js";
import { hostFailure, ProgressReport } from "./application-report.js";
import { Converger, type ConvergerOptions } from "./converge.js";
import {
  compareGoalOrder,
  goalOrder,
  isStale,
  type GoalOrder,
  type ObeyedOrder,
} from "./goal-order.js";
import { isChosen } from "./choose.js";
import type { LogFile } from "./log-file.js";
import { stageFailure } from "./stage.js";
import { asksTheSame, takesHost } from "./target.js";
import type { KeyFault } from "../trust/trusted-keys.js";
import type { VerifiedGoal } from "./verify-goal.js";

const RETRY = { baseMs: 2_000, maxMs: 60_000 };

/** What an application needs of its host. */
export interface ApplicationOptions extends Omit<
  ConvergerOptions,
  "report" | "onProgress" | "onTrouble"
> {
  /** Reads back the goal that was obeyed last; throws GoalRefusedError. */
  verifyKept: (signed: Buffer) => VerifiedGoal;
  /** What is wrong with a goal key, if anything. */
  keyFault: (keyId: string) => KeyFault | undefined;
  onChange: (change: "phase" | "progress") => void;
  /** The newest goal has nothing of it on this host, and nothing runs any more: see `gone`. */
  onGone: () => void;
}

class SupersededError extends Error {
  override readonly name = "SupersededError";
}

/**
 * One application on this host: brings it to its newest goal, and keeps it there. A newer goal ends
 * what is under way for the older one. All changes are made by one loop.
 */
export class Application {
  readonly #options: ApplicationOptions;
  readonly #report: ProgressReport;
  readonly #converger: Converger;
  #goal: VerifiedGoal | undefined;
  #settled: VerifiedGoal | undefined;
  #controller = new AbortController();
  #wake: () => void = () => {};
  #stopping = false;
  #gone = false;
  #loop: Promise<void> | undefined;

  constructor(options: ApplicationOptions) {
    this.#options = options;
    this.#report = new ProgressReport((phase, generation) => {
      options.log.info({ phase, generation }, "phase");
      options.onChange("phase");
    });
    const onProgress = (): void => options.onChange("progress");
    const onTrouble = (): void => options.onChange("phase");
    this.#converger = new Converger({ ...options, report: this.#report, onProgress, onTrouble });
  }

  get logFile(): LogFile {
    return this.#options.logFile;
  }

  /** Reads what an earlier agent left behind, takes over what it left running, and goes on. */
  async start(): Promise<void> {
    const { log, verifyKept } = this.#options;
    await this.#converger.load();
    const { signedGoal } = this.#converger.state;
    if (signedGoal !== undefined) {
      try {
        this.#learn(verifyKept(Buffer.from(signedGoal, "base64")));
      } catch (error) {
        log.error({ err: error }, "goal that was obeyed before is refused now; what runs is kept");
      }
    }
    this.checkKey();
    this.#loop = this.#run();
  }

  /** The keys that the fleet goes by may be others: what was obeyed goes on, but that is said. */
  checkKey(): void {
    const keyId = this.#obeyed?.keyId ?? "";
    const fault = keyId === "" ? undefined : this.#options.keyFault(keyId);
    if (fault === undefined) {
      this.#report.admitKey();
      return;
    }
    const message = `no goal is obeyed until one comes that another key has signed, and what runs goes on: ${fault.message}`;
    this.refuse(hostFailure(HostFailureReason.GOAL_KEY_NOT_TRUSTED, message));
  }

  /** Whether a goal at this place in the order would be obeyed. */
  wants(order: GoalOrder): boolean {
    return this.#compare(order) === "newer";
  }

  /**
   * Takes a goal: newer ones are obeyed and the present one is fine. The answer says whether it is
   * older than what was obeyed, and so refused.
   */
  offer(goal: VerifiedGoal): "newer" | "known" | "older" {
    const place = this.#compare(goalOrder(goal.goal));
    if (place !== "older") this.#report.refuse(undefined);
    if (place !== "newer") return place;
    const known = this.#goal;
    const disturbs = known === undefined || !asksTheSame(this.#options.host, known, goal);
    this.#gone = false;
    this.#learn(goal);
    if (disturbs) this.#controller.abort(new SupersededError("a newer goal has come"));
    this.#wake();
    return place;
  }

  /** Nothing of it is on this host, by the goal at this place in the order; undefined until then. */
  get gone(): ObeyedOrder | undefined {
    return this.#gone && this.#goal !== undefined ? this.#obeyed : undefined;
  }

  /** A goal was refused: reported until the next good one. */
  refuse(refusal: HostFailure): void {
    this.#report.refuse(refusal);
  }

  status(): HostApplicationStatus {
    const { running, state, trouble, held } = this.#converger;
    const { transfer } = state;
    return this.#report.status(this.#options.application, {
      running,
      transfer,
      trouble,
      held: held.digests,
      goalStale: this.isStale(Date.now()),
    });
  }

  /** The fleet has not said for too long what should run. `now` in milliseconds since 1970. */
  isStale(now: number): boolean {
    return this.#goal !== undefined && isStale(this.#goal.goal, now);
  }

  /** The store may have dropped artifacts. */
  refreshHeld(): Promise<void> {
    return this.#converger.held.refresh();
  }

  /** Digests of the artifacts that must stay. */
  artifactsInUse(): string[] {
    const { active, previous, activating } = this.#converger.state;
    const { host } = this.#options;
    const goal = this.#goal && takesHost(host, this.#goal.goal) ? this.#goal.goal : undefined;
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
    this.#converger.stop();
    if (options.stopRelease) {
      await this.#options.supervisor.stop({ drain: new AbortController().signal });
    }
    this.#options.supervisor.leave();
  }

  #compare(order: GoalOrder): "newer" | "known" | "older" {
    const known = this.#obeyed;
    // Whoever stole a key may have signed the highest of generations: it shuts the fleet's out no more.
    const isDisowned = this.#options.keyFault(known?.keyId ?? "")?.reason === "revoked";
    const difference = known === undefined || isDisowned ? 1 : compareGoalOrder(order, known);
    // The goal that was obeyed last may be lost, with a damaged state file: it is obeyed again.
    if (difference === 0) return this.#goal === undefined ? "newer" : "known";
    return difference > 0 ? "newer" : "older";
  }

  get #obeyed(): ObeyedOrder | undefined {
    const goal = this.#goal;
    if (goal === undefined) return this.#converger.state.obeyed;
    return { ...goalOrder(goal.goal), keyId: goal.keyId };
  }

  #learn(goal: VerifiedGoal): void {
    this.#goal = goal;
    const { generation, expireTime, deploymentId, bucketLimit } = goal.goal;
    if (isStale(goal.goal, Date.now())) {
      this.#options.log.warn({ generation, expireTime }, "goal is stale; obeyed all the same");
    }
    const taken = takesHost(this.#options.host, goal.goal);
    const chosen = taken && isChosen(this.#options.host.hostId, deploymentId, bucketLimit);
    this.#report.learn(generation, chosen);
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
        if (!resumed) await this.#converger.resume(goal);
        resumed = true;
        if (goal !== undefined && goal !== this.#settled) {
          const end = await this.#converger.converge(goal, signal);
          this.#gone = end === "gone" && this.#goal === goal;
        }
        this.#settled = goal;
        attempt = 0;
        if (this.#gone) this.#options.onGone();
        if (this.#goal === goal && !this.#stopping) await woken;
      } catch (error) {
        if (signal.aborted) {
          attempt = 0;
          continue;
        }
        const waitMs = backOffMs(attempt, RETRY);
        attempt += 1;
        this.#noteTrouble(error, waitMs);
        const pause = delay(waitMs, undefined, { signal, ref: false });
        await pause.catch(() => {
          // A newer goal, or the end: the loop's beginning sees which.
        });
      }
    }
  }

  #noteTrouble(error: unknown, waitMs: number): void {
    const retryInMs = Math.round(waitMs);
    this.#options.log.warn({ err: error, retryInMs }, "goal cannot be reached yet");
    const failure = stageFailure(error);
    if (failure === undefined) return;
    // A full disk needs somebody's hand; a download that fails is still on its way.
    const full = failure.reason === HostFailureReason.DISK_FULL && this.#report.chosen;
    this.#report.step(full ? HostPhase.FAILED : HostPhase.STAGING, failure);
  }
}
