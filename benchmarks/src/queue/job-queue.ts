/** What is measured of each queue. Whatever it answers is durable. */
export interface JobQueue {
  /** Enqueues a job for each commit, batched if there are many. */
  enqueue(commits: readonly string[]): Promise<void>;
  /**
   * Takes and completes as many jobs as wait.
   * @returns milliseconds from the first being asked for to the last being completed.
   */
  drain(count: number, options: { heartbeat: boolean }): Promise<number>;
  /** Starts workers that wait for jobs and complete each at once. Answers how to end them. */
  serve(started: (commit: string) => void): Promise<() => Promise<void>>;
  close(): Promise<void>;
}

export const APPLICATION = "bench";
/** Connections to the database. */
export const CONNECTIONS = 10;
/** Jobs that one connection enqueues, takes or completes at once. */
export const BATCH = 50;
/** Jobs that are worked on at once, by any queue. */
export const IN_FLIGHT = CONNECTIONS * BATCH;
/** Who waits for jobs when the time to start them is measured, and builders through gRPC. */
export const WORKERS = 50;
/** The longest that any one measurement may take. */
export const PATIENCE_MS = 180_000;

/** What a job of a peer's carries: what a build's row says. */
export interface Payload {
  application: string;
  applicationRevision: number;
  commitSha: string;
  submitter: string;
}

export const payload = (commitSha: string): Payload => ({
  application: APPLICATION,
  applicationRevision: 1,
  commitSha,
  submitter: "bench",
});

/** Calls the work for batches of the items, so many at a time. */
export async function inLanes<T>(
  items: readonly T[],
  { lanes, batch }: { lanes: number; batch: number },
  work: (items: readonly T[], lane: number) => Promise<void>,
): Promise<void> {
  let next = 0;
  const lane = async (_: unknown, index: number): Promise<void> => {
    while (next < items.length) {
      const from = next;
      next += batch;
      await work(items.slice(from, next), index);
    }
  };
  await Promise.all(Array.from({ length: lanes }, lane));
}

/** The promise's result. @throws Error if it takes longer than any measurement may. */
export async function within<T>(what: string, promise: Promise<T>, ms = PATIENCE_MS): Promise<T> {
  let timer: NodeJS.Timeout | undefined;
  const late = new Promise<never>((_, reject) => {
    timer = setTimeout(() => reject(new Error(`${what} took longer than ${ms / 1000} s`)), ms);
  });
  try {
    return await Promise.race([promise, late]);
  } finally {
    clearTimeout(timer);
  }
}
