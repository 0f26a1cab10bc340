import { setTimeout as delay } from "node:timers/promises";
import { quantile } from "../statistics.js";
import { within, type JobQueue } from "./job-queue.js";

export interface Load {
  /** Jobs enqueued and drained for each figure. */
  jobs: number;
  /** Measure with a heartbeat as well. */
  heartbeat: boolean;
  signal: AbortSignal;
}

const PER_SECOND = 100;
const SAMPLES = 400;
const WARM_UP = 50;

let commits = 0;
/** A commit that was never used. */
const newCommit = (): string => (commits++).toString(16).padStart(40, "0");
const newCommits = (count: number): string[] => Array.from({ length: count }, newCommit);

/** One run of everything that is measured of a queue, which is empty before and after. */
export async function measure(
  queue: JobQueue,
  { jobs, heartbeat, signal }: Load,
): Promise<Record<string, number>> {
  const perSecond = (ms: number): number => (jobs / ms) * 1_000;
  const batch = newCommits(jobs);
  const start = performance.now();
  await within("enqueuing", queue.enqueue(batch));
  const figures: Record<string, number> = { enqueue_per_s: perSecond(performance.now() - start) };
  signal.throwIfAborted();
  figures["cycle_per_s"] = perSecond(
    await within("a cycle", queue.drain(jobs, { heartbeat: false })),
  );
  signal.throwIfAborted();
  if (heartbeat) {
    await within("enqueuing", queue.enqueue(newCommits(jobs)));
    figures["cycle_hb_per_s"] = perSecond(
      await within("a cycle with heartbeats", queue.drain(jobs, { heartbeat: true })),
    );
    signal.throwIfAborted();
  }
  const times = await startTimes(queue);
  figures["start_ms_p50"] = quantile(times, 0.5);
  figures["start_ms_p99"] = quantile(times, 0.99);
  return figures;
}

/** Milliseconds from a job being submitted, at a steady rate, to a waiting worker having it. */
async function startTimes(queue: JobQueue): Promise<number[]> {
  const startedAt = new Map<string, number>();
  const stop = await queue.serve((commit) => startedAt.set(commit, performance.now()));
  try {
    const submittedAt = new Map<string, number>();
    const submissions: Promise<void>[] = [];
    const begin = performance.now();
    for (const [index, commit] of newCommits(WARM_UP + SAMPLES).entries()) {
      // Whoever is slow is not submitted to more slowly.
      await delay(Math.max(0, begin + (index * 1_000) / PER_SECOND - performance.now()));
      submittedAt.set(commit, performance.now());
      submissions.push(queue.enqueue([commit]));
    }
    await within("submitting", Promise.all(submissions));
    const deadline = performance.now() + 20_000;
    while (startedAt.size < submittedAt.size) {
      if (performance.now() > deadline) throw new Error("some jobs were never started");
      await delay(20);
    }
    const times = [...submittedAt].map(([commit, at]) => (startedAt.get(commit) ?? NaN) - at);
    return times.slice(WARM_UP);
  } finally {
    await stop();
  }
}
