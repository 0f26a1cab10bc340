import type { Logger } from "pino";
import type { Clock } from "../context.js";
import type { Stats } from "../stats.js";
import { applicationGoalOf, limitsOfSource, type AnyGoalSource } from "./goal.js";
import type { GoalBucket } from "./goal-bucket.js";
import { bindingGeneration, planProjection, type Limits } from "./plan-projection.js";
import type { GoalSigner } from "./signing.js";
import { removeStrayGoals, type FindKnown } from "./stray-goals.js";

const MAX_ATTEMPTS = 4;

/** What became of a goal. */
export type Published =
  | { outcome: "kept" | "written"; beyond: Limits }
  /** The bucket is ahead of what was to be put there, and was not touched. */
  | { outcome: "ahead"; generation: number; deploymentId: string };

interface Options {
  bucket: GoalBucket;
  signer: GoalSigner;
  clock: Clock;
  log: Logger;
  stats: Pick<Stats, "nonsense">;
}

/** Makes the global bucket say what the database says, and never less than it says itself. */
export class GoalPublisher {
  readonly #options: Options;

  constructor(options: Options) {
    this.#options = options;
  }

  /**
   * Puts the goal into the bucket unless it is there. Safe to call at any time by any coordinator.
   * @throws NatsError if NATS is away; SignerError if it cannot be signed now.
   */
  async publish(source: AnyGoalSource): Promise<Published> {
    const { bucket, signer, clock, log, stats } = this.#options;
    const { application, generation, deploymentId } = source;
    for (let attempt = 1; attempt <= MAX_ATTEMPTS; attempt += 1) {
      const entry = await bucket.get(application);
      const now = new Date(clock.now());
      const plan = planProjection(source, entry?.goal, signer, now);
      if (plan.action === "keep") return { outcome: "kept", beyond: plan.beyond };
      if (plan.action === "alarm") {
        const { generation: ahead, deploymentId: of } = plan;
        return { outcome: "ahead", generation: ahead, deploymentId: of };
      }
      const goal = await applicationGoalOf(plan.source, signer, plan.issueTime);
      if (await bucket.put(goal, entry?.revision ?? 0)) {
        const { why } = plan;
        const limits = limitsOfSource(plan.source);
        log.info({ application, generation, deploymentId, limits, why }, "goal written");
        if (why === "nonsense") {
          stats.nonsense.add("goal");
          log.error({ application, generation }, "a goal that nobody here signed was replaced");
        }
        return { outcome: "written", beyond: plan.beyond };
      }
    }
    throw new Error(`the goal of ${application} was changed by others at every attempt`);
  }

  /** Makes the bucket if it is missing. @throws NatsError if NATS is away. */
  async prepare(): Promise<void> {
    await this.#options.bucket.prepare();
  }

  /** See removeStrayGoals. @throws NatsError if NATS is away. */
  removeStrays(findKnown: FindKnown): Promise<void> {
    return removeStrayGoals(this.#options, findKnown);
  }

  /** The generation in the bucket that the next one has to be above; 0 for none. @throws NatsError if NATS is away. */
  async generation(application: string): Promise<number> {
    const { bucket, signer } = this.#options;
    const goal = (await bucket.get(application))?.goal;
    return bindingGeneration(goal, application, signer);
  }
}
