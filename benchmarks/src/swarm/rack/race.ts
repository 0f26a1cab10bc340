import { mkdir, rm } from "node:fs/promises";
import type { Contender, Course } from "./contender.js";
import { processorSeconds } from "./processor-time.js";

/** What one run came to. */
export interface RaceResult {
  /** Each host's time from the start until it had everything, in seconds. */
  seconds: number[];
  /** Each host's processor time until the last one had everything. */
  cpuSeconds: number[];
  /** What the seeder put on its link until then, headers and all. */
  seederBytes: number;
}

const LIMIT_MS = 300_000;

export async function race(contender: Contender, course: Course): Promise<RaceResult> {
  const { network, dir, signal } = course;
  await mkdir(dir, { recursive: true });
  try {
    const lineUp = await within(contender.lineUp(course), signal);
    try {
      const cpuBefore = await Promise.all(lineUp.hosts.map(processorSeconds));
      const sentBefore = await network.bytesSent(0);
      const { startedAt, ends } = await lineUp.go();
      const ended = await within(Promise.all(ends), signal);
      const cpuAfter = await Promise.all(lineUp.hosts.map(processorSeconds));
      const result = {
        seconds: ended.map((end) => (end - startedAt) / 1000),
        cpuSeconds: cpuAfter.map((after, index) => after - (cpuBefore[index] ?? 0)),
        seederBytes: (await network.bytesSent(0)) - sentBefore,
      };
      await lineUp.check?.();
      return result;
    } finally {
      await lineUp.end();
    }
  } finally {
    await rm(dir, { recursive: true, force: true });
  }
}

/** Throws the signal's reason, or that it took too long. */
async function within<T>(what: Promise<T>, signal: AbortSignal): Promise<T> {
  const stop = AbortSignal.any([signal, AbortSignal.timeout(LIMIT_MS)]);
  return Promise.race([
    what,
    new Promise<never>((_, reject) => {
      const give = (): void => reject(stop.reason as Error);
      if (stop.aborted) give();
      else stop.addEventListener("abort", give, { once: true });
    }),
  ]);
}
