import { setTimeout as delay } from "node:timers/promises";
import { BATCH, CONNECTIONS, inLanes, payload, WORKERS, type JobQueue } from "./job-queue.js";
import type { Payload } from "./job-queue.js";

const NAME = "build";
/** The least that it takes. */
const POLLING_SECONDS = 0.5;
const POLLING = { pollingIntervalSeconds: POLLING_SECONDS, batchSize: 1 };

/** pg-boss in batches; for the time to start, with workers that poll as often as they can, in turn. */
export async function openPgBoss(connectionString: string): Promise<JobQueue> {
  const { default: PgBoss } = await import("pg-boss");
  const boss = new PgBoss({ connectionString, max: CONNECTIONS, schedule: false });
  let failure: Error | undefined;
  boss.on("error", (error) => (failure ??= error));
  await boss.start();
  await boss.createQueue(NAME);
  return {
    enqueue: (commits) =>
      inLanes(commits, { lanes: CONNECTIONS, batch: BATCH }, async (batch) => {
        await boss.insert(batch.map((commit) => ({ name: NAME, data: payload(commit) })));
      }),
    async drain(count) {
      const start = performance.now();
      const lanes = { lanes: CONNECTIONS, batch: BATCH };
      await inLanes(Array.from({ length: count }), lanes, async (wanted) => {
        // Another lane may hold what is left until it is committed.
        for (let left = wanted.length; left > 0;) {
          const jobs = await boss.fetch(NAME, { batchSize: left, priority: false });
          if (jobs.length === 0) continue;
          await boss.complete(
            NAME,
            jobs.map(({ id }) => id),
          );
          left -= jobs.length;
        }
      });
      if (failure !== undefined) throw failure;
      return performance.now() - start;
    },
    async serve(started) {
      for (let worker = 0; worker < WORKERS; worker++) {
        await boss.work(NAME, POLLING, async (jobs) => {
          for (const { data } of jobs) started((data as Payload).commitSha);
        });
        await delay((POLLING_SECONDS * 1_000) / WORKERS);
      }
      return async () => {
        await boss.offWork(NAME);
        if (failure !== undefined) throw failure;
      };
    },
    close: () => boss.stop({ graceful: true, wait: true, timeout: 10_000 }),
  };
}
