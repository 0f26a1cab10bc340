import {
  BuildStatus,
  type Client,
  DeploymentState,
  isFinalBuild,
  isFinalDeployment,
} from "@slipway/sdk";
import type { WatchFact } from "./facts.js";

/** Follows every build and deployment to its end through the SDK, each with a watch of its own. */
export class Watchers {
  readonly #client: Client;
  readonly #signal: AbortSignal;
  readonly #facts = new Map<string, WatchFact & { finals: string[] }>();
  readonly #running: Promise<void>[] = [];

  /** @param signal - Gives up all of them. */
  constructor(client: Client, signal: AbortSignal) {
    this.#client = client;
    this.#signal = signal;
  }

  get facts(): WatchFact[] {
    return [...this.#facts.values()];
  }

  /** How many have seen an end. */
  get endCount(): number {
    return this.facts.filter(({ finals }) => finals.length > 0).length;
  }

  /** Does nothing for a build that is watched already. */
  build(id: string): void {
    this.#watch("build", id, async (fact) => {
      for await (const event of this.#client.builds.watch(id, { signal: this.#signal })) {
        if (event.type !== "build" || !isFinalBuild(event.build)) continue;
        fact.finals.push(BuildStatus[event.build.status]);
      }
    });
  }

  /** And what puts it back, if something does. */
  deployment(id: string): void {
    this.#watch("deployment", id, async (fact) => {
      for await (const { deployment } of this.#client.deployments.watch(id, {
        signal: this.#signal,
      })) {
        if (!isFinalDeployment(deployment)) continue;
        fact.finals.push(DeploymentState[deployment.state]);
        if (deployment.rolledBackBy !== "") this.deployment(deployment.rolledBackBy);
      }
    });
  }

  /** Waits until every watch has ended. */
  async ended(): Promise<void> {
    for (let next = this.#running.pop(); next !== undefined; next = this.#running.pop()) await next;
  }

  #watch(
    what: WatchFact["what"],
    id: string,
    follow: (fact: { finals: string[] }) => Promise<void>,
  ): void {
    if (this.#facts.has(id)) return;
    const fact = { what, id, finals: [] as string[], error: undefined as string | undefined };
    this.#facts.set(id, fact);
    const watching = follow(fact).catch((error: unknown) => {
      fact.error = String(error);
    });
    this.#running.push(watching);
  }
}
