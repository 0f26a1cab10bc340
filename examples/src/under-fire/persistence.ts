import { setTimeout as delay } from "node:timers/promises";
import { SlipwayError } from "@slipway/sdk";

/** What became of a call: answered, or refused for what was asked. */
export type Outcome<T> = { answer: T } | { refused: SlipwayError };

const RETRY_MS = 500;
/** Refusals that follow from the order of things, as somebody else changes them too. */
const REFUSALS = new Set(["FAILED_PRECONDITION", "ABORTED"]);

/**
 * Makes a call until somebody answers, however often the client itself gives up.
 * @throws errors that nobody should get; the signal's reason.
 */
export async function persistently<T>(
  call: () => Promise<T>,
  signal: AbortSignal,
): Promise<Outcome<T>> {
  for (;;) {
    try {
      return { answer: await call() };
    } catch (error) {
      signal.throwIfAborted();
      if (!(error instanceof SlipwayError)) throw error;
      if (REFUSALS.has(error.code)) return { refused: error };
      if (!error.retryable) throw error;
      await delay(RETRY_MS, undefined, { signal });
    }
  }
}
