import { setTimeout as delay } from "node:timers/promises";
import type { Logger } from "pino";
import { steadyClock } from "./context.js";

/** Milliseconds to wait after so many failures in a row: doubling, bounded, with full jitter. */
export function backoffMs(
  failures: number,
  { firstMs, maxMs }: { firstMs: number; maxMs: number },
): number {
  const ceiling = Math.min(maxMs, firstMs * 2 ** Math.min(failures - 1, 30));
  return ceiling / 2 + Math.random() * (ceiling / 2);
}

/**
 * Tries until it succeeds or the deadline, by the steady clock, passes; then throws the last error.
 * @param what names what is tried, in logs.
 */
export async function retryUntil<T>(
  what: string,
  {
    deadline,
    signal,
    log,
    isFinal = () => false,
  }: {
    deadline: number;
    signal: AbortSignal;
    log: Logger;
    /** Of an error that is there until somebody mends something: thrown at once, as it is. */
    isFinal?: (error: unknown) => boolean;
  },
  attempt: () => Promise<T>,
): Promise<T> {
  for (let failures = 1; ; failures += 1) {
    signal.throwIfAborted();
    try {
      return await attempt();
    } catch (error) {
      if (isFinal(error)) throw error;
      const wait = backoffMs(failures, { firstMs: 200, maxMs: 5_000 });
      if (steadyClock.now() + wait > deadline) {
        const reason = error instanceof Error ? error.message || error.name : String(error);
        throw new Error(`${what} failed: ${reason}`, { cause: error });
      }
      log.warn({ err: error, failures }, `${what} failed; retrying`);
      await delay(wait, undefined, { signal });
    }
  }
}
