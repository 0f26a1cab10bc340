import { setTimeout as delay } from "node:timers/promises";

/**
 * Asks every `intervalMs` until the answer is neither false nor undefined, and returns it.
 * @throws Error that names `what` when `timeoutMs` have passed.
 */
export async function waitFor<T>(
  ask: () => T | Promise<T>,
  timeoutMs: number,
  what: string,
  intervalMs = 20,
): Promise<Exclude<T, false | undefined>> {
  const end = Date.now() + timeoutMs;
  for (;;) {
    const answer = await ask();
    if (answer !== false && answer !== undefined) return answer as Exclude<T, false | undefined>;
    if (Date.now() >= end) throw new Error(`not within ${timeoutMs / 1000} s: ${what}`);
    await delay(intervalMs);
  }
}
