import { describeMissing } from "../replication/deployable.js";
import { countHosts } from "../status/enrolment.js";
import { onReconnect } from "../status/reconnects.js";
import { regionsWithout } from "./create-deployment.js";
import type { StoredDeployment } from "./deployment.js";
import * as store from "./deployment-store.js";
import { judge } from "./judge.js";
import { KeyedRunner } from "./keyed-runner.js";
import { GoalProjection } from "./projection.js";
import type { RolloutContext } from "./rollout-context.js";
import { transition, type DeploymentEvent } from "./transition.js";

const CONCURRENCY = 8;
const STEP_SPACING_MS = 100;
/** Signals come in bursts: applications are looked for at most this often. */
const SCAN_SPACING_MS = 100;
const ENROLMENT_AGE_MS = 5_000;

type Active = StoredDeployment & { overdue: boolean };

interface Enrolment {
  deploymentId: string;
  at: number;
  hosts: ReadonlyMap<string, number>;
}

/**
 * Drives deployments to their end. Every step reads the database, does the next thing and stores it
 * by compare-and-set, so it may be cut off anywhere, repeated, and done by two at once.
 */
export class Reconciler {
  readonly #context: RolloutContext;
  readonly #projection: GoalProjection;
  /** By application: the deployment whose goal is in the bucket, as far as this term knows. */
  readonly #published = new Map<string, string>();
  /** By application: hosts counted for a deployment. */
  readonly #enrolled = new Map<string, Enrolment>();
  #active = new Set<string>();

  constructor(context: RolloutContext) {
    this.#context = context;
    this.#projection = new GoalProjection(context);
  }

  /** Reconciles every application until the signal. Woken by signals; looks by itself as well. */
  async lead(signal: AbortSignal): Promise<void> {
    const { config, events, log, nats, status } = this.#context;
    this.#published.clear();
    const runner = new KeyedRunner((application) => this.step(application), {
      concurrency: CONCURRENCY,
      spacingMs: STEP_SPACING_MS,
      log,
    });
    const scan = new KeyedRunner(() => this.#scan(runner), {
      concurrency: 1,
      spacingMs: SCAN_SPACING_MS,
      log,
    });
    const project = new KeyedRunner(() => this.#project(signal), {
      concurrency: 1,
      spacingMs: config.reconcileIntervalMs,
      log,
    });
    const look = (): void => scan.kick("applications");
    const rebuild = (): void => project.kick("goals");
    const timers = [
      setInterval(look, config.reconcileIntervalMs),
      setInterval(rebuild, config.projectionIntervalMs),
    ];
    const stops = [
      events.subscribe("deployment", look),
      events.subscribe("artifact", look),
      onReconnect(nats, () => {
        rebuild();
        look();
      }),
      status.subscribe((application) => {
        if (application === undefined) for (const name of this.#active) runner.kick(name);
        else if (this.#active.has(application)) runner.kick(application);
      }),
    ];
    look();
    rebuild();
    await new Promise<void>((resolve) => {
      if (signal.aborted) resolve();
      else signal.addEventListener("abort", () => resolve(), { once: true });
    });
    for (const timer of timers) clearInterval(timer);
    for (const stop of stops) stop();
    await Promise.all([scan.stop(), project.stop(), runner.stop()]);
  }

  /** Does the next thing for an application's deployment, if it has one that is not final. */
  async step(application: string): Promise<void> {
    const active = await store.activeDeployment(this.#context.db, application);
    if (active === undefined) {
      this.#active.delete(application);
      this.#published.delete(application);
      this.#enrolled.delete(application);
      return;
    }
    const event =
      active.state === "PENDING" ? await this.#wait(active) : await this.#follow(active);
    if (event === undefined) return;
    const next = transition(active.state, event);
    if (next === undefined) return;
    const { db, config, events, log } = this.#context;
    // Not stored: somebody else was first, and has said so.
    if (!(await store.storeTransition(db, active, next, config.deploymentDeadlineMs))) return;
    const { id, buildId, generation } = active.deployment;
    const failure = next.state === "FAILED" ? next.failure : undefined;
    log.info(
      { deploymentId: id, application, buildId, generation, state: next.state, failure },
      "deployment changed",
    );
    // This also wakes the scan, which goes on with a deployment that has just started.
    events.publish({ kind: "deployment", id });
  }

  /** PENDING: waits for the artifact to be in every region. */
  async #wait(active: Active): Promise<DeploymentEvent | undefined> {
    const { run: release, regions } = active.goal;
    const finishTime = active.deployment.createTime ?? new Date(this.#context.clock.now());
    const missing = await regionsWithout(this.#context, { release, regions, finishTime });
    if (missing.length === 0) return { type: "deployable" };
    if (!active.overdue) return undefined;
    const message = `not replicated by the deadline: ${describeMissing(missing)}`;
    return { type: "failed", failure: { reason: "DEADLINE_EXCEEDED", message } };
  }

  /** RUNNING: sees to it that the goal is out, and judges what regions say. */
  async #follow(active: Active): Promise<DeploymentEvent | undefined> {
    const unpublished = await this.#publish(active);
    const verdict = await this.#judge(active, unpublished, ENROLMENT_AGE_MS);
    // Before it is final: by the enrolment of this moment.
    return verdict && this.#judge(active, unpublished, 0);
  }

  /** Why the goal is not in the bucket, as the end of a sentence; undefined if it is. */
  async #publish({ goal }: Active): Promise<string | undefined> {
    const { application, deploymentId } = goal;
    if (this.#published.get(application) === deploymentId) return undefined;
    try {
      const problem = await this.#projection.publish(goal);
      if (problem === undefined) this.#published.set(application, deploymentId);
      return problem;
    } catch (error) {
      this.#context.log.warn({ err: error, application, deploymentId }, "goal not written yet");
      return `the goal could not be written to NATS (${(error as Error).message})`;
    }
  }

  async #judge(
    active: Active,
    unpublished: string | undefined,
    maxAgeMs: number,
  ): Promise<DeploymentEvent | undefined> {
    const { application, generation, regions } = active.goal;
    const enrolled = await this.#enrolment(active, maxAgeMs);
    const progress = this.#context.status.progress(application, generation, regions);
    return judge({ regions: progress, enrolled, overdue: active.overdue, unpublished });
  }

  async #enrolment({ goal }: Active, maxAgeMs: number): Promise<ReadonlyMap<string, number>> {
    const { db, clock } = this.#context;
    const { application, deploymentId } = goal;
    const known = this.#enrolled.get(application);
    const same = known?.deploymentId === deploymentId;
    if (same && clock.now() - known.at < maxAgeMs) return known.hosts;
    const hosts = await countHosts(db, goal);
    this.#enrolled.set(application, { deploymentId, at: clock.now(), hosts });
    return hosts;
  }

  async #scan(runner: KeyedRunner): Promise<void> {
    this.#active = new Set(await store.activeApplications(this.#context.db));
    for (const application of this.#active) runner.kick(application);
  }

  async #project(signal: AbortSignal): Promise<void> {
    try {
      await this.#projection.publishAll(signal);
    } catch (error) {
      if (!signal.aborted) this.#context.log.warn({ err: error }, "goals not all written yet");
    }
  }
}
