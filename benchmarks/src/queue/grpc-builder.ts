import { credentials, Metadata, type ClientDuplexStream } from "@grpc/grpc-js";
import {
  answersIn,
  BuilderServiceClient,
  requestOf,
  WorkAccepted_Kind,
  type Lease,
  type WorkAnswer,
  type WorkRequest,
  type WorkResponse,
  type WorkSaying,
} from "@slipway/proto";
import { artifactOf } from "./samples.js";

export interface GrpcBuilderOptions {
  address: string;
  id: string;
  heartbeat: boolean;
  started?(commit: string): void;
  completed?(): void;
  /** The stream ended, or a lease was lost. */
  failed(error: Error): void;
}

/**
 * A builder's end of its stream, on a connection of its own: one build at a time, completed at once,
 * with a heartbeat before that if asked for. It is free for another as the agent's is: when the build
 * is done, not when that is acknowledged. As the agent does, it says in one message what it says at once.
 */
export class GrpcBuilder {
  readonly #options: GrpcBuilderOptions;
  readonly #client: BuilderServiceClient;
  readonly #stream: ClientDuplexStream<WorkRequest, WorkResponse>;
  readonly #commits = new Map<string, string>();
  readonly welcome: Promise<void>;
  #welcomed: () => void = () => undefined;
  #leasesReceived = 0;
  #isStopped = false;

  constructor(options: GrpcBuilderOptions) {
    this.#options = options;
    this.welcome = new Promise((resolve) => (this.#welcomed = resolve));
    this.#client = new BuilderServiceClient(options.address, credentials.createInsecure(), {
      "grpc.use_local_subchannel_pool": 1,
    });
    this.#stream = this.#client.work(new Metadata());
    this.#stream.on("data", (response: WorkResponse) => {
      for (const answer of answersIn(response)) this.#hear(answer);
    });
    this.#stream.on("error", (error) => {
      if (!this.#isStopped) options.failed(error);
    });
    const how = { signsProvenance: false, process: undefined, takesSeveral: true };
    const hello = { builderId: options.id, platform: "linux/x64", ...how };
    this.#stream.write({ message: { $case: "hello", value: hello } });
  }

  ready(): void {
    this.#say(this.#readiness());
  }

  stop(): void {
    this.#isStopped = true;
    this.#stream.cancel();
    this.#client.close();
  }

  #readiness(): WorkSaying {
    return { $case: "ready", value: { freeSlots: 1, leasesReceived: this.#leasesReceived } };
  }

  #hear(message: WorkAnswer | undefined): void {
    switch (message?.$case) {
      case "welcome":
        return this.#welcomed();
      case "leased":
        return this.#leased(message.value.lease, message.value.commitSha);
      case "accepted":
        for (const lease of message.value.leases) this.#accepted(message.value.kind, lease);
        return;
      case "lost":
        return this.#options.failed(new Error(`a lease was lost: ${message.value.reason}`));
    }
  }

  #leased(lease: Lease | undefined, commitSha: string): void {
    if (lease === undefined) return this.#options.failed(new Error("a lease without a lease"));
    this.#leasesReceived += 1;
    this.#options.started?.(commitSha);
    this.#commits.set(lease.buildId, commitSha);
    if (this.#options.heartbeat) this.#say({ $case: "heartbeat", value: { leases: [lease] } });
    else this.#complete(lease);
  }

  #accepted(kind: WorkAccepted_Kind, lease: Lease): void {
    if (kind === WorkAccepted_Kind.HEARTBEAT) this.#complete(lease);
    else this.#options.completed?.();
  }

  #complete(lease: Lease): void {
    const artifact = artifactOf(this.#commits.get(lease.buildId) ?? "");
    this.#commits.delete(lease.buildId);
    const complete = { lease, artifact, provenance: Buffer.alloc(0) };
    this.#say({ $case: "complete", value: complete }, this.#readiness());
  }

  #say(...sayings: WorkSaying[]): void {
    this.#stream.write(requestOf(sayings));
  }
}
