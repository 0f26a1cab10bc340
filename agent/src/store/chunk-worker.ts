// The thread that verifies and writes chunks, so that the one of sockets and timers need not.
import { parentPort } from "node:worker_threads";
import { type ChunkJob, runChunkJob } from "./chunk-job.js";

/** Jobs in the order in which they are to be done. */
export type WorkerRequest = { id: number; job: ChunkJob }[];

/** What came of each of them; the first, empty, says that the thread is up. */
export type WorkerReply = (
  | { id: number; kind: "done"; right: boolean }
  | { id: number; kind: "failed"; message: string; code: string | undefined }
)[];

const say = (reply: WorkerReply): void => {
  // oxlint-disable-next-line unicorn/require-post-message-target-origin -- not a window
  parentPort?.postMessage(reply);
};

parentPort?.on("message", (jobs: WorkerRequest) => {
  const reply: WorkerReply = jobs.map(({ id, job }) => {
    try {
      return { id, kind: "done", right: runChunkJob(job) };
    } catch (error) {
      const { message, code } = error as NodeJS.ErrnoException;
      return { id, kind: "failed", message, code };
    }
  });
  say(reply);
});
say([]);
