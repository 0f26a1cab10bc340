import { setTimeout as delay } from "node:timers/promises";
import type { Context } from "../context.js";
import { isRemovedIn, limitsOfSource, regionsOfSource, type AnyGoalSource } from "../goal/goal.js";
import type { Limits } from "../goal/plan-projection.js";
import { namesWithGoals, newestGoal, pageOfGoals } from "./goal-store.js";

const PAGE_SIZE = 200;
const CONCURRENCY = 8;
const ALARM_INTERVAL_MS = 60_000;
/** An application's goal is written at most once in this time. */
const WRITE_SPACING_MS = 1_000;

/** Keeps the goal bucket saying what the database says. The bucket can be lost and is rebuilt. */
export class GoalProjection {
  readonly #context: Pick<Context, "db" | "goals" | "status" | "clock" | "log">;
  /** When each application's alarm was last raised. */
  readonly #alarms = new Map<string, number>();

  /** By application: what is in the bucket, as far as this term knows. */
  readonly #published = new Map<string, string>();
  /** When each application's goal was written last. */
  readonly #writtenAt = new Map<string, number>();

  constructor(context: Pick<Context, "db" | "goals" | "status" | "clock" | "log">) {
    this.#context = context;
  }

  /** Forgets what is in the bucket: somebody else may have led until now, or it may be lost. */
  forget(): void {
    this.#published.clear();
  }

  /** Whether the goal, as it is now, with these limits and removed regions, was put into the bucket or found there. */
  isPublished(goal: AnyGoalSource): boolean {
    return this.#published.get(goal.application) === versionOf(goal);
  }

  /** How long the application's goal is not to be written again. */
  restMs(application: string): number {
    const writtenAt = this.#writtenAt.get(application) ?? Number.NEGATIVE_INFINITY;
    return Math.max(0, writtenAt + WRITE_SPACING_MS - this.#context.clock.now());
  }

  /**
   * Puts one goal into the bucket. Answers why hosts go by what the database does not know, as a
   * sentence, or undefined.
   * @throws NatsError if NATS is away.
   */
  async publish(goal: AnyGoalSource): Promise<string | undefined> {
    const { application } = goal;
    const published = await this.#context.goals.publish(goal);
    if (published.outcome !== "ahead") {
      if (published.outcome === "written")
        this.#writtenAt.set(application, this.#context.clock.now());
      const problem =
        (await this.#checkReported(goal)) ?? (await this.#checkLimits(goal, published.beyond));
      if (problem === undefined) this.#published.set(application, versionOf(goal));
      return problem;
    }
    // It may be ahead of us only because we read the database before a newer deployment was made.
    const newest = await newestGoal(this.#context.db, application);
    if (
      newest !== undefined &&
      (newest.generation > published.generation || newest.deploymentId === published.deploymentId)
    ) {
      return undefined;
    }
    this.#alarm(goal, "the goal bucket", published.generation, published.deploymentId);
    return (
      `the goal bucket holds generation ${published.generation} of another deployment, ` +
      `not below this one's ${goal.generation}, and is left alone; deploy again`
    );
  }

  /**
   * Puts back whatever the bucket lacks, of every application, and takes out what is of none. One that cannot be written keeps no
   * other from it; when many in a row cannot, nothing more is tried.
   * @throws Error that names the first of those that could not be written.
   */
  async publishAll(signal: AbortSignal): Promise<void> {
    // Region agents wait for the bucket even before there is a goal.
    await this.#context.goals.prepare();
    const errors: Error[] = [];
    let inARow = 0;
    const put = async (goal: AnyGoalSource): Promise<void> => {
      await delay(this.restMs(goal.application), undefined, { signal });
      try {
        await this.publish(goal);
        inARow = 0;
      } catch (error) {
        errors.push(error as Error);
        inARow += 1;
      }
    };
    const isHopeless = (): boolean => inARow >= CONCURRENCY;
    for (let after: string | undefined = ""; after !== undefined && !isHopeless();) {
      signal.throwIfAborted();
      const goals = await pageOfGoals(this.#context.db, { after, limit: PAGE_SIZE });
      const queue = [...goals];
      const work = async (): Promise<void> => {
        for (let goal = queue.shift(); goal !== undefined && !isHopeless(); goal = queue.shift()) {
          await put(goal);
        }
      };
      await Promise.all(Array.from({ length: CONCURRENCY }, work)).finally(() => queue.splice(0));
      after = goals.length < PAGE_SIZE ? undefined : goals.at(-1)?.application;
    }
    const [first] = errors;
    if (first === undefined) {
      signal.throwIfAborted();
      // What is there and not in the database was not put there by a coordinator.
      await this.#context.goals.removeStrays((names) => namesWithGoals(this.#context.db, names));
      return;
    }
    const what = errors.length === 1 ? "1 goal" : `${errors.length} goals`;
    throw new Error(`${what} could not be written: ${first.message}`, { cause: first });
  }

  /** A bucket that was lost says nothing of what hosts obeyed: they refuse anything older. */
  async #checkReported(goal: AnyGoalSource): Promise<string | undefined> {
    const { application } = goal;
    const reported = this.#context.status.highestGeneration(application);
    // What is reported was committed before: only a read from then on tells.
    const newest =
      reported > goal.generation ? await newestGoal(this.#context.db, application) : undefined;
    if (reported <= (newest ?? goal).generation) {
      this.#alarms.delete(application);
      return undefined;
    }
    this.#alarm(goal, "a region or host", reported);
    return (
      `a region or host reports generation ${reported}, above this one's ${goal.generation}, and ` +
      "obeys none below it; deploy again"
    );
  }

  /** A limit is published after it was committed: one that is not known any more was lost. */
  async #checkLimits(goal: AnyGoalSource, beyond: Limits): Promise<string | undefined> {
    const regions = Object.keys(beyond);
    if (regions.length === 0) return undefined;
    const newest = await newestGoal(this.#context.db, goal.application);
    if (newest?.deploymentId !== goal.deploymentId) return undefined;
    const known = limitsOfSource(newest);
    const lost = regions.filter((region) => (known[region] ?? 0) < (beyond[region] ?? 0));
    if (lost.length === 0) return undefined;
    this.#alarm(goal, "the goal bucket", goal.generation, goal.deploymentId);
    return (
      `the goal bucket tells more hosts of ${lost.join(", ")} to switch than the database knows of, ` +
      "so how far they are is not known; deploy again"
    );
  }

  #alarm(goal: AnyGoalSource, who: string, ahead: number, aheadDeploymentId?: string): void {
    const { clock, log } = this.#context;
    const { application, generation, deploymentId } = goal;
    const last = this.#alarms.get(application) ?? Number.NEGATIVE_INFINITY;
    if (clock.now() - last < ALARM_INTERVAL_MS) return;
    this.#alarms.set(application, clock.now());
    log.error(
      { application, generation, deploymentId, ahead, aheadDeploymentId },
      `${who} is ahead of the database and is left alone: was a backup restored? ` +
        "The next deployment of the application gets a generation above both",
    );
  }
}

function versionOf(goal: AnyGoalSource): string {
  const limits = limitsOfSource(goal);
  const parts = regionsOfSource(goal).map((region) =>
    isRemovedIn(goal, region) ? region : (limits[region] ?? 0),
  );
  const holds = !("removed" in goal) && goal.holds;
  return JSON.stringify([goal.deploymentId, holds, parts]);
}
