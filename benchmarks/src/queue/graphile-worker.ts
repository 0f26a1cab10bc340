import { EventEmitter, once } from "node:events";
import { Pool } from "pg";
import { CONNECTIONS, IN_FLIGHT, inLanes, payload, WORKERS, type JobQueue } from "./job-queue.js";
import type { Payload } from "./job-queue.js";

const TASK = "build";
/** Of jobs that do nothing. Tried, with batches at once and after 2 ms: 1, 10, 50, 250, 500. */
const CONCURRENT_JOBS = 1;

/**
 * graphile-worker with its settings for the highest throughput: jobs are fetched ahead into a local
 * queue and completed in batches. For the time to start, without either, which delay.
 */
export async function openGraphileWorker(connectionString: string): Promise<JobQueue> {
  const { Logger, makeWorkerUtils, run } = await import("graphile-worker");
  const logger = new Logger(() => () => undefined);
  const pgPool = new Pool({ connectionString, max: CONNECTIONS });
  // Whoever uses the connection gets the error as well.
  pgPool.on("error", () => undefined);
  const utils = await makeWorkerUtils({ pgPool, preset: { worker: { logger } } });
  await utils.migrate();

  /** Completed jobs are deleted. */
  const isEmpty = async (): Promise<boolean> => {
    const text = "select 1 from graphile_worker._private_jobs limit 1";
    return (await pgPool.query({ name: "any", text })).rows.length === 0;
  };
  return {
    enqueue: (commits) =>
      inLanes(commits, { lanes: 1, batch: IN_FLIGHT }, async (batch) => {
        const [only] = batch;
        if (batch.length === 1 && only !== undefined) await utils.addJob(TASK, payload(only));
        else {
          await utils.addJobs(
            batch.map((commit) => ({ identifier: TASK, payload: payload(commit) })),
          );
        }
      }),
    async drain(count) {
      // Its start is not counted, nor the first fetch.
      let start: number | undefined;
      let left = count;
      const ran = new EventEmitter();
      const allRan = once(ran, "all");
      const build = (): void => {
        start ??= performance.now();
        left -= 1;
        if (left === 0) ran.emit("all");
      };
      const localQueue = { size: IN_FLIGHT };
      const batched = { concurrentJobs: CONCURRENT_JOBS, localQueue, completeJobBatchDelay: 0 };
      const runner = await run({
        pgPool,
        preset: { worker: { logger, ...batched } },
        taskList: { [TASK]: build },
        noHandleSignals: true,
      });
      await allRan;
      let isDone = false;
      while (!isDone) isDone = await isEmpty();
      const taken = performance.now() - (start ?? Number.NaN);
      await runner.stop();
      return taken;
    },
    async serve(started) {
      const build = (job: unknown): void => started((job as Payload).commitSha);
      const runner = await run({
        pgPool,
        preset: { worker: { logger, concurrentJobs: WORKERS } },
        taskList: { [TASK]: build },
        noHandleSignals: true,
      });
      return () => runner.stop();
    },
    async close() {
      await utils.release();
      await pgPool.end();
    },
  };
}
