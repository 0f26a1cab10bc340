import { status, type ServiceError } from "@grpc/grpc-js";
import { ReplicationState, unary, type ReplicationServiceClient } from "@slipway/proto";
import { backOffMs } from "../back-off.js";
import type { CoordinatorReach } from "../coordinator/coordinator-reach.js";
import type { Logger } from "../log.js";
import { pause } from "../pause.js";

const RETRY = { baseMs: 1_000, maxMs: 60_000 };
const TIMEOUT_MS = 10_000;

export interface ReporterOptions {
  client: ReplicationServiceClient;
  region: string;
  /** Whether this agent leads the region: only then it reports. */
  leading: () => boolean;
  reach: CoordinatorReach;
  log: Logger;
}

/** Tells the coordinator how far artifacts have come into the region. */
export class ReplicationReporter {
  readonly #options: ReporterOptions;
  readonly #signal: AbortSignal;

  /** @param signal ends what is under way. */
  constructor(options: ReporterOptions, signal: AbortSignal) {
    this.#options = options;
    this.#signal = signal;
  }

  /** Says COMPLETE until the coordinator has heard it, or does not know the artifact. */
  async complete(digest: string, sizeBytes: number): Promise<void> {
    for (let attempt = 0; !this.#signal.aborted; attempt += 1) {
      if (await this.report(digest, ReplicationState.COMPLETE, sizeBytes, "")) return;
      await pause(backOffMs(attempt, RETRY), this.#signal);
    }
  }

  /** Reports, if it is this agent's to do; false if the coordinator could not be told. */
  async report(
    artifactDigest: string,
    state: ReplicationState,
    bytesCopied: number,
    message: string,
  ): Promise<boolean> {
    const { client, region, leading, reach } = this.#options;
    if (!leading()) return true;
    const request = { region, artifactDigest, state, bytesCopied, message };
    const options = { timeoutMs: TIMEOUT_MS, signal: this.#signal };
    try {
      await unary(client, "reportReplication", request, options);
      reach.answered();
      return true;
    } catch (error) {
      if (this.#signal.aborted) return false;
      // An artifact that no build made, or that is forgotten: nobody waits for it.
      if ((error as ServiceError).code === status.NOT_FOUND) return true;
      reach.failed(error, "replication cannot be reported", { digest: artifactDigest });
      return false;
    }
  }
}
