import { setTimeout as delay } from "node:timers/promises";
import { backOffMs } from "../back-off.js";

const RETRY = { baseMs: 2_000, maxMs: 60_000 };

/** Tries until it goes well, ever later. @throws once the signal is aborted. */
export async function persist<T>(
  attempt: () => Promise<T>,
  signal: AbortSignal,
  onError: (error: unknown, retryInMs: number) => void,
): Promise<T> {
  for (let failures = 0; ; failures += 1) {
    try {
      return await attempt();
    } catch (error) {
      signal.throwIfAborted();
      const waitMs = backOffMs(failures, RETRY);
      onError(error, Math.round(waitMs));
      await delay(waitMs, undefined, { signal });
    }
  }
}
