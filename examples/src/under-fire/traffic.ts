import { setTimeout as delay } from "node:timers/promises";
import { type Build, BuildStatus } from "@slipway/sdk";
import type { Asker } from "./asker.js";
import type { People } from "./people.js";
import type { Random } from "./random.js";
import { type Helm, promoteAll, steer } from "./steering.js";
import type { PlannedBuild, PlannedDeployment, TrafficPlan } from "./traffic-plan.js";
import type { Watchers } from "./watchers.js";

export interface TrafficOptions {
  people: Pick<People, "creator" | "approver">;
  plan: TrafficPlan;
  /** Of the builds, in their order. */
  commits: readonly string[];
  watchers: Watchers;
  random: Random;
  asker: Asker;
}

/** A build is deployed while it is among the newest so many of its application. */
const RECENT = 4;
const LOOK_EVERY_MS = 250;

/** Submits builds and makes deployments by plan, and remembers what it was told. */
export class Traffic {
  readonly submittedBuilds: string[] = [];
  readonly createdDeployments: string[] = [];
  /** By application, the last one that was submitted. */
  readonly newestBuilds = new Map<string, string>();
  readonly #options: TrafficOptions;
  #began = 0;
  #signal = new AbortController().signal;

  constructor(options: TrafficOptions) {
    this.#options = options;
  }

  /** Ends once all of it was asked for, and the last deployment of each application has ended. */
  async run(signal: AbortSignal): Promise<void> {
    const { plan } = this.#options;
    this.#signal = signal;
    this.#began = Date.now();
    const applications = new Set(plan.deployments.map(({ application }) => application));
    await Promise.all([
      this.#submitAll(),
      ...[...applications].map((application) => this.#deployAll(application)),
    ]);
  }

  async #submitAll(): Promise<void> {
    const { plan, commits } = this.#options;
    for (const [index, build] of plan.builds.entries()) {
      await this.#until(build.atMs);
      await this.#submit(build, commits[index] as string, `build-${index}`);
    }
  }

  async #submit(
    { application }: PlannedBuild,
    commitSha: string,
    idempotencyKey: string,
  ): Promise<void> {
    const request = { application, commitSha, idempotencyKey };
    const { people, watchers } = this.#options;
    const submitted = await this.#ask("submit", () => people.creator.builds.submit(request));
    if (submitted === undefined) return;
    this.submittedBuilds.push(submitted.build.id);
    this.newestBuilds.set(application, submitted.build.id);
    watchers.build(submitted.build.id);
  }

  /** One after the other; now and then the next one does not wait for one to end. */
  async #deployAll(application: string): Promise<void> {
    const all = this.#options.plan.deployments;
    const own = all.filter((each) => each.application === application);
    let last: string | undefined;
    for (const [index, planned] of own.entries()) {
      await this.#until(planned.atMs);
      last = (await this.#deploy(planned, `deploy-${application}-${index}`)) ?? last;
    }
    // What was to overtake it may have been refused.
    if (last !== undefined) await promoteAll(this.#helm, last);
  }

  /** Answers its id; undefined if it was refused. */
  async #deploy(planned: PlannedDeployment, idempotencyKey: string): Promise<string | undefined> {
    const { people, watchers } = this.#options;
    const { deployments } = people.creator;
    const { application, overrideFreeze } = planned;
    const by = { reason: planned.steering, idempotencyKey };
    const build = await this.#aBuild(application);
    const deployment = await this.#ask(planned.change, () =>
      planned.change === "roll back"
        ? deployments.rollBack({ application, ...by })
        : deployments.create({
            buildId: build.id,
            waitForReplication: true,
            overrideFreeze,
            ...by,
          }),
    );
    if (deployment === undefined) return undefined;
    this.createdDeployments.push(deployment.id);
    watchers.deployment(deployment.id);
    const steering = steer(this.#helm, deployment.id, planned);
    if (planned.steering === "overtake") await steering;
    else await Promise.all([steering, promoteAll(this.#helm, deployment.id)]);
    return deployment.id;
  }

  get #helm(): Helm {
    const { people, asker } = this.#options;
    return {
      people,
      ask: (what, call) => this.#ask(what, call),
      surprised: (what) => void asker.surprises.push(what),
      signal: this.#signal,
    };
  }

  /** A recent build that can be deployed; waits until there is one. */
  async #aBuild(application: string): Promise<Build> {
    const { people, random } = this.#options;
    for (;;) {
      const filter = { application, status: BuildStatus.SUCCEEDED, pageSize: RECENT };
      const page = await this.#ask("list", () => people.creator.builds.listPage(filter));
      if (page !== undefined && page.items.length > 0) return random.pick(page.items);
      await delay(LOOK_EVERY_MS, undefined, { signal: this.#signal });
    }
  }

  async #until(atMs: number): Promise<void> {
    const ms = Math.max(0, this.#began + atMs - Date.now());
    await delay(ms, undefined, { signal: this.#signal });
  }

  #ask<T>(what: string, call: () => Promise<T>): Promise<T | undefined> {
    return this.#options.asker.ask(what, call, this.#signal);
  }
}
