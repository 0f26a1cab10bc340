import type { AnyGoalSource } from "../goal/goal.js";
import { SignerError } from "../keys/signer.js";
import { onReconnect } from "../status/reconnects.js";
import { decide, nextLook } from "./decide.js";
import * as store from "./deployment-store.js";
import type { ReadDeployment } from "./deployment-store.js";
import { FactReader, type Publication } from "./facts.js";
import { newestGoal } from "./goal-store.js";
import { KeyedRunner } from "./keyed-runner.js";
import { move } from "./move.js";
import { GoalProjection } from "./projection.js";
import type { RolloutContext } from "./rollout-context.js";
import { isFinal } from "./snapshot.js";
import { Timers } from "./timers.js";
import type { DeploymentEvent } from "./deployment-event.js";

const CONCURRENCY = 8;
/** Between two looks at an application. */
const LOOK_SPACING_MS = 100;
/** Signals come in bursts: applications are looked for at most this often. */
const SCAN_SPACING_MS = 100;
/** More in one look would only mean that something goes round in circles. */
const MAX_MOVES = 8;

/** A deployment that is not final, as it was seen last. */
interface Seen {
  id: string;
  blocked: boolean;
}

/**
 * Drives deployments to their end. Every look reads the database, does the next things and stores
 * them by compare-and-set, so it may be cut off anywhere, repeated, and done by two at once.
 */
export class Reconciler {
  readonly #context: RolloutContext;
  readonly #projection: GoalProjection;
  readonly #facts: FactReader;
  /** By application. */
  readonly #active = new Map<string, Seen>();
  /** By deployment id. */
  readonly #applications = new Map<string, string>();
  readonly #timers = new Timers();
  #kick: (application: string) => void = () => undefined;

  constructor(context: RolloutContext) {
    this.#context = context;
    // Whoever sets the clock neither holds up a goal nor makes a region silent.
    const steady = { ...context, clock: context.steady };
    this.#projection = new GoalProjection(steady);
    this.#facts = new FactReader(steady);
  }

  /** Reconciles every application until the signal. Woken by signals; looks by itself as well. */
  async lead(signal: AbortSignal): Promise<void> {
    const { config, events, log, nats, status } = this.#context;
    this.#projection.forget();
    this.#facts.begin();
    const runner = new KeyedRunner((application) => this.look(application), {
      concurrency: CONCURRENCY,
      spacingMs: LOOK_SPACING_MS,
      log,
    });
    this.#kick = (application) => runner.kick(application);
    const scan = new KeyedRunner(() => this.#scan(), {
      concurrency: 1,
      spacingMs: SCAN_SPACING_MS,
      log,
    });
    const project = new KeyedRunner(() => this.#project(signal), {
      concurrency: 1,
      spacingMs: config.reconcileIntervalMs,
      log,
    });
    const find = (): void => scan.kick("applications");
    const rebuild = (): void => project.kick("goals");
    const lookAtAll = (): void => {
      for (const application of this.#active.keys()) runner.kick(application);
      find();
    };
    const timers = [
      setInterval(lookAtAll, config.reconcileIntervalMs),
      setInterval(rebuild, config.projectionIntervalMs),
    ];
    const stops = [
      events.subscribe("deployment", (id) => {
        const application = this.#applications.get(id ?? "");
        if (application === undefined) find();
        else runner.kick(application);
      }),
      events.subscribe("artifact", () => {
        for (const [application, { blocked }] of this.#active)
          if (blocked) runner.kick(application);
      }),
      onReconnect(nats, () => {
        this.#projection.forget();
        rebuild();
        lookAtAll();
      }),
      status.subscribe((application) => {
        if (application === undefined) lookAtAll();
        else if (this.#active.has(application)) runner.kick(application);
      }),
    ];
    find();
    rebuild();
    await new Promise<void>((resolve) => {
      if (signal.aborted) resolve();
      else signal.addEventListener("abort", () => resolve(), { once: true });
    });
    for (const timer of timers) clearInterval(timer);
    for (const stop of stops) stop();
    await Promise.all([scan.stop(), project.stop(), runner.stop()]);
    this.#kick = () => undefined;
    // After the last look, which may have set some.
    this.#timers.clear();
    this.#active.clear();
    this.#applications.clear();
  }

  /** Does what is next for an application's deployment, if it has one that is not final. */
  async look(application: string): Promise<void> {
    let active = await store.activeDeployment(this.#context.db, application);
    for (let moves = 0; active !== undefined && moves < MAX_MOVES; moves += 1) {
      const event = await this.#next(active);
      if (event === undefined) break;
      const moved = await move(this.#context, active, event);
      // Somebody else was first, and has said so.
      if (moved === undefined || !moved.changed) break;
      const { stored } = moved;
      active = isFinal(stored.snapshot.state) ? undefined : { ...stored, now: active.now };
    }
    if (active === undefined) await this.#conclude(application);
    else this.#remember(active);
  }

  /** A deployment that has succeeded has hosts told of the regions that it drops. */
  async #conclude(application: string): Promise<void> {
    this.#forget(application);
    const goal = await newestGoal(this.#context.db, application);
    if (goal !== undefined) await this.#publish(goal);
  }

  /** Sees to it that the goal is out, and decides by what regions say. */
  async #next(active: ReadDeployment): Promise<DeploymentEvent | undefined> {
    const { snapshot, now } = active;
    const published = await this.#publish(active.goal);
    const event = decide(
      snapshot,
      await this.#facts.gather(active, { published, fresh: false }),
      now,
    );
    if (event === undefined) return undefined;
    // A limit that could not be published at once would be obeyed even after a failure.
    if (event.type === "raised" && this.#rests(active.goal)) return undefined;
    // What is acted upon is what is so at this moment.
    return decide(snapshot, await this.#facts.gather(active, { published, fresh: true }), now);
  }

  /** Puts the goal into the bucket, or says why it is not there. */
  async #publish(goal: AnyGoalSource): Promise<Publication> {
    const { application, deploymentId } = goal;
    const isOut = { unpublished: undefined, overtaken: undefined };
    if (this.#projection.isPublished(goal) || this.#rests(goal)) return isOut;
    try {
      return { ...isOut, overtaken: await this.#projection.publish(goal) };
    } catch (error) {
      this.#context.log.warn({ err: error, application, deploymentId }, "goal not written yet");
      const { message } = error as Error;
      const what = error instanceof SignerError ? "signed" : "written to NATS";
      return { ...isOut, unpublished: `the goal could not be ${what} (${message})` };
    }
  }

  /** Whether the application's goal was written just now; if so it is looked at again after that. */
  #rests({ application }: AnyGoalSource): boolean {
    const restMs = this.#projection.restMs(application);
    if (restMs > 0) this.#timers.set(application, "write", restMs, () => this.#kick(application));
    return restMs > 0;
  }

  #remember({ goal, snapshot, now }: ReadDeployment): void {
    const { application, deploymentId: id } = goal;
    const before = this.#active.get(application);
    if (before !== undefined && before.id !== id) this.#applications.delete(before.id);
    this.#active.set(application, { id, blocked: snapshot.blockedBy !== "" });
    this.#applications.set(id, application);
    const next = nextLook(snapshot, now);
    if (next === undefined) this.#timers.clear(application, "look");
    else this.#timers.set(application, "look", next - now, () => this.#kick(application));
  }

  #forget(application: string): void {
    this.#applications.delete(this.#active.get(application)?.id ?? "");
    this.#active.delete(application);
    this.#facts.forget(application);
    this.#timers.clear(application);
  }

  /** Finds deployments that nobody has looked at yet. */
  async #scan(): Promise<void> {
    for (const { id, application, blocked } of await store.activeDeployments(this.#context.db)) {
      if (this.#active.get(application)?.id === id) continue;
      this.#active.set(application, { id, blocked });
      this.#applications.set(id, application);
      this.#kick(application);
    }
  }

  async #project(signal: AbortSignal): Promise<void> {
    try {
      await this.#projection.publishAll(signal);
    } catch (error) {
      if (!signal.aborted) this.#context.log.warn({ err: error }, "goals not all written yet");
    }
  }
}
