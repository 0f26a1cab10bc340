import { credentials } from "@grpc/grpc-js";
import { ApplicationServiceClient, BuildServiceClient, unary } from "@slipway/proto";
import { GrpcBuilder, type GrpcBuilderOptions } from "./grpc-builder.js";
import { APPLICATION, inLanes, PATIENCE_MS, WORKERS, type JobQueue } from "./job-queue.js";
import { applicationSpec } from "./samples.js";

/** Our queue through a coordinator: as many callers and builders as there are workers. */
export async function connectSlipway(address: string): Promise<JobQueue> {
  const client = [address, credentials.createInsecure()] as const;
  const applications = new ApplicationServiceClient(...client);
  const spec = applicationSpec();
  const application = { name: APPLICATION, spec, expectedRevision: 0, actor: "", reason: "" };
  await unary(applications, "applyApplication", application, { timeoutMs: 10_000 });
  applications.close();
  const builds = new BuildServiceClient(...client);

  /** Builders that are connected, and ask for nothing yet. */
  const builders = async (
    options: Pick<GrpcBuilderOptions, "heartbeat" | "started" | "completed" | "failed">,
  ): Promise<GrpcBuilder[]> => {
    const all = Array.from(
      { length: WORKERS },
      (_, index) => new GrpcBuilder({ ...options, address, id: `bench-${index}` }),
    );
    await Promise.all(all.map(({ welcome }) => welcome));
    return all;
  };
  return {
    enqueue: (commits) =>
      inLanes(commits, { lanes: WORKERS, batch: 1 }, async ([commitSha = ""]) => {
        const submission = { application: APPLICATION, commitSha, submitter: "bench" };
        const request = { ...submission, idempotencyKey: "" };
        await unary(builds, "submitBuild", request, { timeoutMs: PATIENCE_MS });
      }),
    async drain(count, { heartbeat }) {
      let left = count;
      let all: GrpcBuilder[] = [];
      try {
        let start = Number.NaN;
        await new Promise<void>((resolve, reject) => {
          const completed = (): void => {
            left -= 1;
            if (left === 0) resolve();
          };
          const connected = builders({ heartbeat, completed, failed: reject });
          connected
            .then((connected) => {
              all = connected;
              start = performance.now();
              for (const builder of all) builder.ready();
            })
            .catch(reject);
        });
        return performance.now() - start;
      } finally {
        for (const builder of all) builder.stop();
      }
    },
    async serve(started) {
      let failure: Error | undefined;
      const failed = (error: Error): void => void (failure ??= error);
      const all = await builders({ heartbeat: false, started, failed });
      for (const builder of all) builder.ready();
      return async () => {
        for (const builder of all) builder.stop();
        if (failure !== undefined) throw failure;
      };
    },
    async close() {
      builds.close();
    },
  };
}
