import { openQueue, type LeasedBuild } from "@slipway/coordinator/queue";
import { pino } from "pino";
import { APPLICATION, IN_FLIGHT, inLanes, WORKERS } from "./job-queue.js";
import type { JobQueue } from "./job-queue.js";
import { applicationSpec, artifactOf } from "./samples.js";

/** At once: one is taken while what another took is completed. Tried: 1, 2, 5, 10. */
const LEASES = 2;

/** Our queue in this process, as a coordinator has it, without gRPC. */
export async function openSlipway(url: string): Promise<JobQueue> {
  const open = await openQueue(url, pino({ level: "warn" }));
  const { queue, dispatcher } = open;
  await open.apply(APPLICATION, applicationSpec());

  const finish = async (build: LeasedBuild): Promise<void> => {
    const state = await queue.complete(build, artifactOf(build.commitSha));
    if (state !== "held")
      throw new Error(`build ${build.buildId} could not be completed: ${state}`);
  };
  const heartbeat = async (build: LeasedBuild): Promise<void> => {
    const state = await queue.heartbeat(build);
    if (state !== "held") throw new Error(`the lease of ${build.buildId} was lost: ${state}`);
  };
  return {
    enqueue: (commits) =>
      inLanes(commits, { lanes: IN_FLIGHT, batch: 1 }, async ([commitSha = ""]) => {
        const submission = { application: APPLICATION, commitSha, submitter: "bench" };
        await queue.submit({ ...submission, idempotencyKey: "" });
      }),
    async drain(count, options) {
      const start = performance.now();
      const lanes = { lanes: LEASES, batch: IN_FLIGHT / LEASES };
      await inLanes(Array.from({ length: count }), lanes, async (wanted, lane) => {
        const builders = wanted.map((_, slot) => `bench-${lane}-${slot}`);
        // Another lane may hold what is left until it is committed.
        for (let left = wanted.length; left > 0;) {
          const builds = await queue.lease(builders.slice(0, left));
          if (options.heartbeat) await Promise.all(builds.map(heartbeat));
          await Promise.all(builds.map(finish));
          left -= builds.length;
        }
      });
      return performance.now() - start;
    },
    async serve(started) {
      const working = new Set<Promise<void>>();
      const seats = Array.from({ length: WORKERS }, (_, worker) => {
        const seat = dispatcher.seat(`bench-${worker}`, (build) => {
          started(build.commitSha);
          const done = finish(build).finally(() => {
            working.delete(done);
            seat.setFree(1);
          });
          working.add(done);
          return true;
        });
        seat.setFree(1);
        return seat;
      });
      return async () => {
        for (const seat of seats) seat.leave();
        await Promise.all(working);
      };
    },
    close: () => open.close(),
  };
}
