import { setTimeout as delay } from "node:timers/promises";

/** Waits, but no longer than until the signal, which the caller looks at next. */
export async function pause(ms: number, signal: AbortSignal): Promise<void> {
  await delay(ms, undefined, { signal, ref: false }).catch(() => {
    // Stopped.
  });
}
