import type { Artifact, BuildFailure } from "@slipway/proto";
import type { Author } from "../audit/audit-log.js";
import type { KeptProvenance } from "../provenance/store.js";
import type { Stats } from "../stats.js";
import type {
  Backlog,
  BuildQueue,
  LeasedBuild,
  LeaseKey,
  LeaseState,
  Rescued,
  Submission,
  Submitted,
} from "./queue.js";

/** A queue whose answers are counted, and whose backlog is remembered. */
export class CountedQueue implements BuildQueue {
  readonly #queue: BuildQueue;
  readonly #stats: Pick<Stats, "builds" | "backlog">;

  constructor(queue: BuildQueue, stats: Pick<Stats, "builds" | "backlog">) {
    this.#queue = queue;
    this.#stats = stats;
  }

  async submit(submission: Submission, signal?: AbortSignal): Promise<Submitted> {
    const submitted = await this.#queue.submit(submission, signal);
    this.#stats.builds.add(submitted.merged ? "merged" : "submitted");
    return submitted;
  }

  async cancel(buildId: string, submissionId: string | undefined, by: Author): Promise<void> {
    await this.#queue.cancel(buildId, submissionId, by);
    this.#stats.builds.add("cancelled");
  }

  async lease(builderIds: readonly string[]): Promise<LeasedBuild[]> {
    const leased = await this.#queue.lease(builderIds);
    this.#stats.builds.add("leased", leased.length);
    return leased;
  }

  async release(leases: readonly LeaseKey[]): Promise<void> {
    await this.#queue.release(leases);
    this.#stats.builds.add("released", leases.length);
  }

  heartbeat(lease: LeaseKey): Promise<LeaseState> {
    return this.#queue.heartbeat(lease);
  }

  check(lease: LeaseKey): Promise<LeaseState | "ended"> {
    return this.#queue.check(lease);
  }

  async complete(
    lease: LeaseKey,
    artifact: Artifact,
    provenance?: KeptProvenance,
  ): Promise<LeaseState> {
    return this.#ended("succeeded", await this.#queue.complete(lease, artifact, provenance));
  }

  async fail(lease: LeaseKey, failure: BuildFailure, retry: boolean): Promise<LeaseState> {
    const how = retry ? "handed_back" : "failed";
    return this.#ended(how, await this.#queue.fail(lease, failure, retry));
  }

  async rescue(): Promise<Rescued> {
    const rescued = await this.#queue.rescue();
    this.#stats.builds.add("rescued", rescued.requeued.length);
    this.#stats.builds.add("given_up", rescued.failed.length);
    return rescued;
  }

  async backlog(): Promise<Backlog> {
    try {
      return (this.#stats.backlog = await this.#queue.backlog());
    } catch (error) {
      this.#stats.backlog = undefined;
      throw error;
    }
  }

  #ended(how: "succeeded" | "failed" | "handed_back", state: LeaseState): LeaseState {
    this.#stats.builds.add(state === "held" ? how : "lost");
    return state;
  }
}
