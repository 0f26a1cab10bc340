import { setTimeout as delay } from "node:timers/promises";
import { credentials, Metadata, type ClientDuplexStream } from "@grpc/grpc-js";
import {
  ApplicationServiceClient,
  ApplicationSpec,
  ArtifactFormat,
  BuilderServiceClient,
  BuildServiceClient,
  unary,
  type WorkRequest,
  type WorkResponse,
} from "@slipway/proto";
import { startControlPlane } from "./control-plane.js";
import type { Figures } from "./main.js";
import { median, quantile, round } from "./statistics.js";
import { syncLatencyMs } from "./sync-latency.js";

const RUNS = 3;
const BUILDS = 400;
const WARM_UP = 50;
const BUILDERS = 20;
const PER_SECOND = 50;

/**
 * From pressing submit to a builder holding the lease, in milliseconds: through gRPC, a coordinator
 * process and a durable Postgres, with builders waiting. Beside it what one synced write costs.
 */
export async function submitToLease(): Promise<Figures> {
  const p50: number[] = [];
  const p99: number[] = [];
  const sync: number[] = [];
  for (let run = 0; run < RUNS; run++) {
    const times = await measure();
    p50.push(quantile(times, 0.5));
    p99.push(quantile(times, 0.99));
    sync.push(await syncLatencyMs());
  }
  return {
    start_ms_p50: round(median(p50)),
    start_ms_p99: round(median(p99)),
    beside: { sync_ms_p50: round(median(sync)) },
  };
}

async function measure(): Promise<number[]> {
  const plane = await startControlPlane();
  const client = [plane.address, credentials.createInsecure()] as const;
  const applications = new ApplicationServiceClient(...client);
  const builds = new BuildServiceClient(...client);
  const leasedAt = new Map<string, number>();
  const builders = Array.from({ length: BUILDERS }, (_, i) => builder(plane.address, i, leasedAt));
  try {
    const apply = { name: "bench", spec: spec(), expectedRevision: 0, actor: "", reason: "" };
    await unary(applications, "applyApplication", apply, { timeoutMs: 10_000 });
    const submitted: { id: string; at: number }[] = [];
    for (let i = 0; i < WARM_UP + BUILDS; i++) {
      const request = {
        application: "bench",
        commitSha: i.toString(16).padStart(40, "0"),
        idempotencyKey: "",
        submitter: "bench",
      };
      const at = performance.now();
      const { build } = await unary(builds, "submitBuild", request, { timeoutMs: 10_000 });
      if (build === undefined) throw new Error("no build in the answer");
      if (i >= WARM_UP) submitted.push({ id: build.id, at });
      await delay(Math.max(0, 1000 / PER_SECOND - (performance.now() - at)));
    }
    const deadline = performance.now() + 20_000;
    while (submitted.some(({ id }) => !leasedAt.has(id))) {
      if (performance.now() > deadline) throw new Error("some builds were never leased");
      await delay(20);
    }
    return submitted.map(({ id, at }) => (leasedAt.get(id) ?? Number.NaN) - at);
  } finally {
    for (const { stop } of builders) stop();
    applications.close();
    builds.close();
    await plane.stop();
  }
}

/** A builder that takes every lease, notes when, and fails it at once to be free again. */
function builder(address: string, index: number, leasedAt: Map<string, number>) {
  const client = new BuilderServiceClient(address, credentials.createInsecure());
  const stream: ClientDuplexStream<WorkRequest, WorkResponse> = client.work(new Metadata());
  let stopped = false;
  stream.on("error", (error) => {
    if (!stopped) throw error;
  });
  let leasesReceived = 0;
  const ready = (): boolean =>
    stream.write({ message: { $case: "ready", value: { freeSlots: 1, leasesReceived } } });
  stream.on("data", ({ message }: WorkResponse) => {
    if (message?.$case !== "leased") return;
    const { lease } = message.value;
    if (lease === undefined) throw new Error("a lease without a lease");
    leasedAt.set(lease.buildId, performance.now());
    leasesReceived += 1;
    const failure = { reason: 7, message: "measured", exitCode: 1 };
    stream.write({ message: { $case: "fail", value: { lease, failure, retry: false } } });
    ready();
  });
  const hello = { builderId: `bench-${index}`, platform: "linux/x64" };
  stream.write({ message: { $case: "hello", value: hello } });
  ready();
  const stop = (): void => {
    stopped = true;
    stream.cancel();
    client.close();
  };
  return { stop };
}

function spec(): ApplicationSpec {
  return ApplicationSpec.fromPartial({
    source: { repository: "/nowhere" },
    build: {
      command: ["true"],
      artifactPath: "out",
      artifactFormat: ArtifactFormat.EXECUTABLE,
    },
    run: { command: ["./out"] },
    regions: ["eu"],
  });
}
