import { credentials } from "@grpc/grpc-js";
import {
  ApplicationServiceClient,
  ApplicationSpec,
  BuildServiceClient,
  DeploymentServiceClient,
  FleetServiceClient,
  HostPhase,
  RegionAgentStatus,
  regionAgentKey,
  regionApplicationKey,
  RegionApplicationStatus,
  ReplicationServiceClient,
  ReplicationState,
  STATUS_BUCKET,
  unary,
  type Deployment,
} from "@slipway/proto";
import { connect, type KV, type NatsConnection } from "nats";
import type { ControlPlane } from "../control-plane.js";
import { GrpcBuilder } from "../queue/grpc-builder.js";
import { within } from "../queue/job-queue.js";
import { applicationSpec, artifactOf } from "../queue/samples.js";

const APPLICATION = "watched";
const COMMIT = "c0ffee".padStart(40, "0");
const HOSTS = 1_000;
const BEAT_MS = 2_000;
const TIMEOUT = { timeoutMs: 10_000 };

/** A deployment that stages for as long as it is watched, with regions whose counts change. */
export class WatchedDeployment {
  readonly deployment: Deployment;
  readonly #regions: readonly string[];
  readonly #deployments: DeploymentServiceClient;
  readonly #nats: NatsConnection;
  readonly #bucket: KV;
  readonly #beats: NodeJS.Timeout;
  #number = 0;
  /** By number of an event, when its publishing began: milliseconds since 1970. */
  readonly publishedAt = new Map<number, number>();

  private constructor(
    deployment: Deployment,
    regions: readonly string[],
    clients: { deployments: DeploymentServiceClient; nats: NatsConnection; bucket: KV },
  ) {
    this.deployment = deployment;
    this.#regions = regions;
    this.#deployments = clients.deployments;
    this.#nats = clients.nats;
    this.#bucket = clients.bucket;
    this.#beats = setInterval(() => void this.#beat().catch(() => undefined), BEAT_MS);
  }

  static async create(plane: ControlPlane, regions: string[]): Promise<WatchedDeployment> {
    const client = [plane.address, credentials.createInsecure()] as const;
    const buildId = await build(plane.address, regions);
    const replication = new ReplicationServiceClient(...client);
    const fleet = new FleetServiceClient(...client);
    const artifactDigest = artifactOf(COMMIT).digest;
    const state = ReplicationState.COMPLETE;
    for (const region of regions) {
      const report = { region, artifactDigest, state, bytesCopied: 0, message: "" };
      await unary(replication, "reportReplication", report, TIMEOUT);
      const host = { hostId: `${region}-1`, region, cell: "a", labels: {} };
      await unary(fleet, "enrolHosts", { hosts: [host] }, TIMEOUT);
    }
    replication.close();
    fleet.close();
    const deployments = new DeploymentServiceClient(...client);
    const request = {
      buildId,
      waitForReplication: false,
      creator: "bench",
      reason: "",
      idempotencyKey: "",
      strategy: undefined,
      overrideFreeze: false,
    };
    const { deployment } = await unary(deployments, "createDeployment", request, TIMEOUT);
    if (deployment === undefined) throw new Error("no deployment in the answer");
    const nats = await connect({ servers: plane.natsUrl });
    const bucket = await nats.jetstream().views.kv(STATUS_BUCKET, { bindOnly: true });
    const watched = new WatchedDeployment(deployment, regions, { deployments, nats, bucket });
    await watched.#beat();
    return watched;
  }

  /** Has every region count once more; the number of the event is in its counts. */
  async publish(): Promise<void> {
    const number = ++this.#number;
    this.publishedAt.set(number, performance.timeOrigin + performance.now());
    await Promise.all(
      this.#regions.map((region) => {
        const agentId = `${region}-agent`;
        const status = RegionApplicationStatus.fromPartial({
          region,
          agentId,
          application: APPLICATION,
          generation: this.deployment.generation,
          time: new Date(),
          hostCount: HOSTS,
          phases: [{ phase: HostPhase.STAGING, count: HOSTS }],
          bytesDone: number,
          bytesTotal: 10_000_000_000,
          unstagedCount: HOSTS,
          leaderTerm: 1,
          slowestHosts: Array.from({ length: 5 }, (_, index) => `${region}-slow-host-${index}`),
          running: [{ buildId: this.deployment.buildId, count: HOSTS }],
        });
        const key = regionApplicationKey(region, agentId, APPLICATION);
        return this.#bucket.put(key, RegionApplicationStatus.encode(status).finish());
      }),
    );
  }

  /** Brings it to a final state, which every watcher is to see. */
  async abort(): Promise<void> {
    const { id } = this.deployment;
    const request = { id, actor: "bench", reason: "measured", keepSwitched: true };
    await unary(this.#deployments, "abortDeployment", request, TIMEOUT);
  }

  async close(): Promise<void> {
    clearInterval(this.#beats);
    this.#deployments.close();
    await this.#nats.close();
  }

  async #beat(): Promise<void> {
    for (const region of this.#regions) {
      const agentId = `${region}-agent`;
      const time = new Date();
      const status = RegionAgentStatus.fromPartial({ region, agentId, time, leaderTerm: 1 });
      await this.#bucket.put(
        regionAgentKey(region, agentId),
        RegionAgentStatus.encode(status).finish(),
      );
    }
  }
}

/** Applies the application, and has a builder build a commit of it. */
async function build(address: string, regions: string[]): Promise<string> {
  const client = [address, credentials.createInsecure()] as const;
  const applications = new ApplicationServiceClient(...client);
  const builds = new BuildServiceClient(...client);
  const spec = ApplicationSpec.fromPartial(applicationSpec(regions));
  const application = { name: APPLICATION, spec, expectedRevision: 0, actor: "", reason: "" };
  await unary(applications, "applyApplication", application, TIMEOUT);
  const submission = { application: APPLICATION, commitSha: COMMIT, submitter: "bench" };
  const submit = { ...submission, idempotencyKey: "" };
  const { build } = await unary(builds, "submitBuild", submit, TIMEOUT);
  let builder: GrpcBuilder | undefined;
  const completed = new Promise<void>((resolve, reject) => {
    const does = { heartbeat: false, completed: resolve, failed: reject };
    builder = new GrpcBuilder({ ...does, address, id: "bench" });
    builder.ready();
  });
  try {
    await within("building", completed);
  } finally {
    builder?.stop();
    applications.close();
    builds.close();
  }
  if (build === undefined) throw new Error("no build in the answer");
  return build.id;
}
